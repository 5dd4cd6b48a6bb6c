"""Follow faces from frame to frame: the state behind ``retalking.face.tracking.track_faces``."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.face.detection import FaceDetector, intersection_over_union
from retalking.face.landmark_crop import cut_portrait
from retalking.face.landmarks import Landmarker, NearSighted, face_boxes
from retalking.face.picture import Picture
from retalking.ibug68 import NOSE_TIP, eye_centers
from retalking.types import FACE_PORTRAIT_PX, FaceSegment, FloatArray, UInt8Array

_SAME_FACE = 0.5


@dataclass(frozen=True)
class TrackingSettings:
    """When the tracker searches, believes and gives up.

    Attributes:
        max_gap_s: the longest time unseen that is bridged by interpolation.
        search_every_s: time between searches of the whole frame while all faces are followed.
        thorough_every_s: the same of searches that are thorough.
        retry_every_s: the same once a face is lost or none is known; doubles with every search in
            vain, up to half of ``search_every_s``.
        min_confidence: of the landmark finder, for a face to count as seen.
        min_overlap: intersection over union of one frame's face box with the next.
    """

    max_gap_s: float
    search_every_s: float = 1.0
    thorough_every_s: float = 4.0
    retry_every_s: float = 0.12
    min_confidence: float = 0.35
    min_overlap: float = 0.3


class FaceFollower:
    """Faces being followed, and segments that are complete."""

    def __init__(
        self,
        detector: FaceDetector,
        landmarker: Landmarker,
        frames_per_s: float,
        settings: TrackingSettings,
    ) -> None:
        self.segments: list[FaceSegment] = []
        self._detector, self._landmarker, self._settings = detector, landmarker, settings
        self._max_gap = round(settings.max_gap_s * frames_per_s)
        self._search_every = max(1, round(settings.search_every_s * frames_per_s))
        self._thorough_every = max(1, round(settings.thorough_every_s * frames_per_s))
        self._retry_every = max(1, round(settings.retry_every_s * frames_per_s))
        self._live: list[_LiveFace] = []
        self._searched_at: int | None = None
        self._thorough_at = 0
        self._num_vain = 0

    def end_shot(self) -> None:
        """Complete all segments and forget where faces were."""
        self.segments.extend(face.to_segment() for face in self._live)
        self._live = []
        self._searched_at = None
        self._num_vain = 0

    def advance(self, index: int, picture: Picture) -> None:
        """Follow the known faces into frame ``index`` and search for others when it is time."""
        self._follow(index, picture)
        missing = not self._live or any(face.frames[-1] < index for face in self._live)
        patient = max(self._retry_every, self._search_every // 2)
        interval = min(self._retry_every << self._num_vain, patient)
        if not missing:
            interval = self._search_every
        if self._searched_at is None or index - self._searched_at >= interval:
            thorough = missing or index - self._thorough_at >= self._thorough_every
            found = self._search(index, picture.whole(), thorough)
            self._thorough_at = index if thorough else self._thorough_at
            self._num_vain = 0 if found else min(self._num_vain + 1, 8)
            self._searched_at = index
        for face in [face for face in self._live if index - face.frames[-1] > self._max_gap]:
            self.segments.append(face.to_segment())
            self._live.remove(face)

    def _follow(self, index: int, picture: Picture) -> None:
        if not self._live:
            return
        known = np.stack([face.points for face in self._live])
        if isinstance(self._landmarker, NearSighted):
            rgb = picture.parts(self._landmarker.looks_at(known))
        else:
            rgb = picture.whole()
        points, confidence = self._landmarker.follow(rgb, known)
        boxes = face_boxes(points)
        taken = np.zeros((0, 4), np.float32)
        for row, face in enumerate(self._live):
            shared = intersection_over_union(boxes[row], face.box_px[None])[0]
            if confidence[row] < self._settings.min_confidence:
                continue
            if shared < self._settings.min_overlap:
                continue
            if (intersection_over_union(boxes[row], taken) > _SAME_FACE).any():
                continue  # two faces slid onto one; the older keeps it
            face.see(index, points[row], float(confidence[row]))
            taken = np.concatenate([taken, boxes[row : row + 1]])

    def _search(self, index: int, rgb: UInt8Array, thorough: bool) -> bool:
        """Search the whole frame; true if a face turned up that was not being seen."""
        found = False
        known = None if thorough else np.stack([face.box_px for face in self._live])
        points, confidence = self._landmarker.predict(rgb, self._detector.detect(rgb, known))
        boxes = face_boxes(points)
        for row in np.flatnonzero(confidence >= self._settings.min_confidence):
            shared = [intersection_over_union(boxes[row], f.box_px[None])[0] for f in self._live]
            best = int(np.argmax(shared)) if shared else -1
            if best < 0 or shared[best] < self._settings.min_overlap:
                found = True
                self._live.append(_LiveFace())
                self._live[-1].see(index, points[row], float(confidence[row]))
            elif self._live[best].frames[-1] < index:
                found = True
                self._live[best].see(index, points[row], float(confidence[row]))
        for face in self._live:
            if face.frames[-1] == index:
                face.sit_for_portrait(rgb)
        return found


class _LiveFace:
    """A face being followed: what was seen so far, frame by frame."""

    def __init__(self) -> None:
        self.frames = array("q")
        self.points = np.zeros((68, 3), np.float32)  # of the last of these frames
        self._track = scratch.Rows((68, 3), np.float32)  # of all of them
        self._confidence = array("d")
        self._portrait = np.zeros((FACE_PORTRAIT_PX, FACE_PORTRAIT_PX, 3), np.uint8)
        self._portrait_merit = -1.0

    def see(self, index: int, points: FloatArray, confidence: float) -> None:
        """Note where the face is in frame ``index``."""
        self.frames.append(index)
        self.points = points
        self._track.add(points)
        self._confidence.append(confidence)

    def sit_for_portrait(self, rgb: UInt8Array) -> None:
        """Take a portrait where the face was seen last, if it is more frontal or larger."""
        merit = frontality(self.points) * min(self._side_px, FACE_PORTRAIT_PX)
        if merit > self._portrait_merit:
            self._portrait, self._portrait_merit = cut_portrait(rgb, self.points), merit

    @property
    def box_px(self) -> FloatArray:
        """Box ``[4]`` where the face was seen last."""
        return face_boxes(self.points)

    @property
    def _side_px(self) -> float:
        return float((self.box_px[2:] - self.box_px[:2]).max())

    def to_segment(self) -> FaceSegment:
        """Interpolate the frames between those seen."""
        start, stop = self.frames[0], self.frames[-1] + 1
        seen = np.array(self.frames) - start
        points = scratch.zeros((stop - start, 68, 3), np.float32)
        confidence = np.zeros(stop - start, np.float32)
        track = self._track.array()
        for rows in scratch.blocks(len(seen)):
            points[seen[rows]] = track[rows]
        confidence[seen] = self._confidence
        unseen = np.setdiff1d(np.arange(stop - start), seen)
        right = np.searchsorted(seen, unseen)
        before, after = seen[right - 1], seen[right]
        share = ((unseen - before) / (after - before))[:, None, None]
        points[unseen] = points[before] * (1 - share) + points[after] * share
        boxes = np.zeros((stop - start, 4), np.float32)
        for rows in scratch.blocks(stop - start):
            boxes[rows] = face_boxes(points[rows])
        return FaceSegment(start, boxes, points, confidence, self._portrait)


def frontality(points_px: FloatArray) -> float:
    """Return 1 for a face seen from the front, less the nearer its nose is to one of the eyes."""
    right, left = eye_centers(points_px[:, :2])
    across = left - right
    position = float((points_px[NOSE_TIP, :2] - right) @ across / max(float(across @ across), 1e-6))
    return max(0.0, 1 - 2 * abs(position - 0.5))
