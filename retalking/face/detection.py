"""Find the faces of a picture: OpenCV's bundled cascades propose, the landmark network decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from retalking.errors import ConfigError, WeightsError
from retalking.face.landmark_crop import FaceCrop
from retalking.face.landmarks import LiteLandmarker, face_boxes
from retalking.types import FloatArray, UInt8Array

MIN_CONFIDENCE = 0.6
_SWEEP_CONFIDENCE = 0.9  # no cascade vouches for what the sweep finds among a hundred squares
_OVERLAP = 0.4
_SEARCH_SIZES_PX = (640, 1280)
_SMALLEST_FACE_PX = 24  # the cascade's own window, in the search picture
_SCALE_STEP = 1.15
_QUICK = (48, 1.3)  # the same two where all known faces are followed: a quarter of the time
# Where a cascade's square sees the face, relative to its side: measured against the landmarks.
_CASCADE_CENTER_SHIFT = 0.154
_CASCADE_SCALE = 0.83
# The sweep: sides of its squares relative to the shorter side of the picture, and their step.
_SWEEP_SIDES = (0.95, 0.65, 0.45, 0.3)
_SWEEP_STEP = 0.3
_SWEEP_MOST_STEPS = 20  # bounds the time on panoramas
_SWEEP_KEPT = 6


class FaceDetector(Protocol):
    """Anything that finds faces."""

    def detect(self, rgb: UInt8Array, known_px: FloatArray | None = None) -> FloatArray:
        """Return face boxes ``[N, 4]`` xyxy px, hairline to chin, the most certain first.

        Args:
            rgb: uint8 ``[H, W, 3]``.
            known_px: boxes ``[K, 4]`` of all faces that are being followed, which need not be
                found again: a quick look for others is enough.
        """
        ...


class FixedBox:
    """A ``FaceDetector`` for a face that the user has marked."""

    def __init__(self, box_px: tuple[int, int, int, int]) -> None:
        """Keep ``(x1, y1, x2, y2)``.

        Raises:
            ConfigError: the box has no area.
        """
        x1, y1, x2, y2 = box_px
        if not (x1 < x2 and y1 < y2):
            raise ConfigError(f"--box: got x {x1}..{x2}, y {y1}..{y2}, expected a box with an area")
        self._boxes = np.array([box_px], np.float32)

    def detect(self, rgb: UInt8Array, known_px: FloatArray | None = None) -> FloatArray:
        """Return the box, whatever the picture shows."""
        return self._boxes.copy()


class CascadeDetector:
    """Haar cascade verified and refined by the landmark network; a ``FaceDetector``.

    Where the cascade has nothing, it looks at a larger version of the picture (small faces), and
    then the landmark network itself at a grid of squares (profiles, tilted heads). That costs
    more, but only on pictures that seem empty.
    """

    def __init__(self, landmarker: LiteLandmarker, min_confidence: float = MIN_CONFIDENCE) -> None:
        self._landmarker = landmarker
        self._min_confidence = min_confidence
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise WeightsError(f"{path}: OpenCV's cascade is missing; reinstall OpenCV, 4.x")

    def detect(self, rgb: UInt8Array, known_px: FloatArray | None = None) -> FloatArray:
        """See ``FaceDetector``; a quick look misses widths below a 16th of the longer side."""
        if known_px is not None:
            return self._find_others(rgb, known_px)
        for points, confidence, enough in self._looks(rgb):
            kept = confidence >= enough
            if kept.any():
                return suppress_overlaps(face_boxes(points[kept]), confidence[kept])
        return np.zeros((0, 4), np.float32)

    def _find_others(self, rgb: UInt8Array, known_px: FloatArray) -> FloatArray:
        proposed = self._propose(rgb, _SEARCH_SIZES_PX[0], *_QUICK)
        points, confidence = self._landmarker.predict(rgb, leave_out(proposed, known_px))
        kept = confidence >= self._min_confidence
        boxes = suppress_overlaps(face_boxes(points[kept]), confidence[kept])
        return leave_out(boxes, known_px)

    def _looks(self, rgb: UInt8Array) -> Iterator[tuple[FloatArray, FloatArray, float]]:
        """Yield landmarks, confidences and the confidence needed of ever more costly searches."""
        for size_px in _SEARCH_SIZES_PX:
            yield *self._landmarker.predict(rgb, self._propose(rgb, size_px)), self._min_confidence
            if max(rgb.shape[:2]) <= size_px:
                break
        yield *self._sweep(rgb), max(self._min_confidence, _SWEEP_CONFIDENCE)

    def _propose(
        self,
        rgb: UInt8Array,
        size_px: int,
        smallest_px: int = _SMALLEST_FACE_PX,
        step: float = _SCALE_STEP,
    ) -> FloatArray:
        """Return the cascade's face boxes ``[N, 4]`` on the picture shrunk to a longer side."""
        height, width = rgb.shape[:2]
        scale = min(1.0, size_px / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        smallest = (smallest_px, smallest_px)
        squares = self._cascade.detectMultiScale(grey, step, 1, minSize=smallest)
        squares = np.asarray(squares, np.float32).reshape(-1, 4) / scale
        side = squares[:, 2:3] * _CASCADE_SCALE
        center = squares[:, :2] + squares[:, 2:] / 2
        center[:, 1] += _CASCADE_CENTER_SHIFT * squares[:, 2]
        low, high = center - side / 2, center + side / 2
        low[:, 1] -= 0.25 * side[:, 0]
        return np.concatenate([low, high], axis=1)

    def _sweep(self, rgb: UInt8Array) -> tuple[FloatArray, FloatArray]:
        """Look at a grid of squares, then closer at the most promising ones."""
        crops = list_sweep_crops(*rgb.shape[:2])
        points, confidence = self._landmarker.glance(rgb, crops)
        best = np.argsort(-confidence)[:_SWEEP_KEPT]
        points, confidence = self._landmarker.follow(rgb, points[best])
        return self._landmarker.follow(rgb, points)


def list_sweep_crops(height_px: int, width_px: int) -> list[FaceCrop]:
    """List overlapping upright squares of several sizes that cover a picture."""
    crops: list[FaceCrop] = []
    for relative in _SWEEP_SIDES:
        side = relative * min(height_px, width_px)
        if side < _SMALLEST_FACE_PX:
            continue
        rows, columns = (_sweep_starts(length, side) for length in (height_px, width_px))
        crops.extend(FaceCrop((x + side / 2, y + side / 2), side) for y in rows for x in columns)
    return crops


def _sweep_starts(length_px: int, side_px: float) -> list[float]:
    free = length_px - side_px
    steps = min(round(free / side_px / _SWEEP_STEP), _SWEEP_MOST_STEPS)
    return [float(start) for start in np.linspace(0, free, 1 + steps)]


def suppress_overlaps(boxes_px: FloatArray, scores: FloatArray) -> FloatArray:
    """Keep the best-scored of boxes ``[N, 4]`` that overlap; best first."""
    kept: list[FloatArray] = []
    for index in np.argsort(-scores):
        if not kept or intersection_over_union(boxes_px[index], np.stack(kept)).max() < _OVERLAP:
            kept.append(boxes_px[index])
    return np.array(kept, np.float32).reshape(-1, 4)


def leave_out(boxes_px: FloatArray, known_px: FloatArray) -> FloatArray:
    """Keep the boxes ``[N, 4]`` that overlap none of ``[K, 4]``."""
    overlaps = [intersection_over_union(box, known_px).max(initial=0) for box in boxes_px]
    return boxes_px[np.array(overlaps, np.float32) < _OVERLAP]


def intersection_over_union(box_px: FloatArray, boxes_px: FloatArray) -> FloatArray:
    """Return intersection over union ``[N]`` of one box ``[4]`` with boxes ``[N, 4]``."""
    low = np.maximum(box_px[:2], boxes_px[:, :2])
    high = np.minimum(box_px[2:], boxes_px[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box_px[2:] - box_px[:2])
    areas = np.prod(boxes_px[:, 2:] - boxes_px[:, :2], axis=1)
    return shared / np.maximum(area + areas - shared, 1e-9)
