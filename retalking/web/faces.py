"""A frame of a video with the faces found, of which one may be clicked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from retalking.face.detection import CascadeDetector
from retalking.face.landmarks import LiteLandmarker
from retalking.media.video import VideoReader
from retalking.types import FloatArray, UInt8Array

Box = tuple[int, int, int, int]
_LOOKS, _EVERY_S = 8, 1.0
"""Frames that are searched for a face, and how far apart."""
_SHOWN_PX = 900  # longer side of the picture that is shown
_CHOSEN, _OTHER = (230, 60, 40), (250, 250, 250)


@dataclass(frozen=True)
class FacesFound:
    """A frame and the faces in it.

    Attributes:
        rgb: uint8 ``[H, W, 3]``, reduced to what a page shows.
        scale: pixels of the video per pixel of ``rgb``.
        boxes: left, top, right, bottom in pixels of the video, largest first.
    """

    rgb: UInt8Array
    scale: float
    boxes: tuple[Box, ...]

    def at(self, x: float, y: float) -> int | None:
        """Return the number of the face at a point of ``rgb``, of several the smallest."""
        x, y = x * self.scale, y * self.scale
        hit = [
            n for n, (x1, y1, x2, y2) in enumerate(self.boxes) if x1 <= x <= x2 and y1 <= y <= y2
        ]
        return max(hit, default=None)

    def draw(self, chosen: int | None) -> UInt8Array:
        """Draw the boxes with their numbers, the chosen one in red."""
        picture = self.rgb.copy()
        thickness = max(2, round(max(picture.shape) / 300))
        for number, box in enumerate(self.boxes):
            x1, y1, x2, y2 = (round(edge / self.scale) for edge in box)
            colour = _CHOSEN if number == chosen else _OTHER
            cv2.rectangle(picture, (x1, y1), (x2, y2), (0, 0, 0), thickness + 2)
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
            cv2.putText(
                picture, str(number), (x1 + 6, y1 + 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2
            )
        return picture


def find_faces(path: Path) -> FacesFound:
    """Look for faces in the first seconds of a video, or in a picture.

    Raises:
        MediaError: it cannot be read.
    """
    with VideoReader(path) as reader:
        found: FacesFound | None = None
        next_s, looks = 0.0, 0
        for chunk in reader.read_chunks(1):
            if float(chunk.pts[0] * reader.info.time_base) < next_s:
                continue
            next_s, looks = float(chunk.pts[0] * reader.info.time_base) + _EVERY_S, looks + 1
            seen = _look(chunk.rgb[0])
            if found is None or len(seen.boxes) > len(found.boxes):
                found = seen
            if looks == _LOOKS or len(found.boxes) > 1:
                break
    assert found is not None  # a reader raises where there is no frame
    return found


def _look(rgb: UInt8Array) -> FacesFound:
    boxes: FloatArray = _detector().detect(rgb)
    sides = boxes[:, 2:] - boxes[:, :2]
    order = np.argsort(-sides.prod(axis=1), kind="stable")
    limit = np.array([rgb.shape[1], rgb.shape[0]] * 2)
    placed = np.rint(boxes[order]).clip(0, limit - 1).astype(int).tolist()
    scale = max(max(rgb.shape[:2]) / _SHOWN_PX, 1.0)
    size = (round(rgb.shape[1] / scale), round(rgb.shape[0] / scale))
    shown = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale > 1 else rgb
    return FacesFound(
        np.asarray(shown, np.uint8), scale, tuple((a, b, c, d) for a, b, c, d in placed)
    )


@cache
def _detector() -> CascadeDetector:
    return CascadeDetector(LiteLandmarker.from_file())
