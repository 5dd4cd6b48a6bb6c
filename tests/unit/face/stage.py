"""Faces on a stage without pictures, for tests of following them."""

from __future__ import annotations

import dataclasses

import numpy as np

from retalking.face.landmarks import face_boxes
from retalking.face.tracking import TrackingSettings, track_faces
from retalking.types import FrameChunk

TRACKING = TrackingSettings(max_gap_s=0.4)
SIZE = (120, 200)


def chunked(frames, size):
    for start in range(0, len(frames), size):
        part = np.stack(frames[start : start + size])
        yield FrameChunk(start, np.arange(start, start + len(part)), part)


def plain_points(x, y, side):
    """68 points in a square, eyes above the mouth."""
    rng = np.random.default_rng(0)
    unit = rng.uniform(0, 1, (68, 3)).astype(np.float32)
    unit[0, :2], unit[1, :2] = 0, 1
    unit[36:48, 1], unit[48:60, 1] = 0.2, 0.8
    return unit * np.array([side, side, 0]) + np.array([x, y, 0])


class Stage:
    """Detector and landmarker in one that knows where faces are: ``actors[i](frame)`` or None.

    The frame number is written into the first pixel, since both see nothing but pixels.
    """

    def __init__(self, actors):
        self.actors = actors
        self.searched, self.glanced = [], []

    def frames(self, count):
        rng = np.random.default_rng(7)
        scene = rng.integers(40, 200, (*SIZE, 3), np.uint8)
        for number in range(count):
            scene[0, 0] = number
            yield scene.copy()

    def _faces(self, rgb):
        spots = [actor(int(rgb[0, 0, 0])) for actor in self.actors]
        return [plain_points(*spot).astype(np.float32) for spot in spots if spot is not None]

    def detect(self, rgb, known_px=None):
        (self.searched if known_px is None else self.glanced).append(int(rgb[0, 0, 0]))
        faces = self._faces(rgb)
        return face_boxes(np.stack(faces)) if faces else np.zeros((0, 4), np.float32)

    def follow(self, rgb, points):
        return self._nearest(rgb, points[..., :2].mean(1))

    def predict(self, rgb, boxes):
        return self._nearest(rgb, (boxes[:, :2] + boxes[:, 2:]) / 2)

    def _nearest(self, rgb, centers):
        faces = self._faces(rgb)
        points = np.zeros((len(centers), 68, 3), np.float32)
        confidence = np.zeros(len(centers), np.float32)
        for row, center in enumerate(centers):
            for face in faces:
                if np.linalg.norm(face[:, :2].mean(0) - center) < 25:
                    points[row], confidence[row] = face, 0.9
        return points, confidence

    def track(self, count, chunk=5, **settings):
        chunks = chunked(list(self.frames(count)), chunk)
        tracking = dataclasses.replace(TRACKING, **settings)
        return track_faces(chunks, self, self, 25.0, tracking)


def walker(number):
    return 20 + number, 40, 30
