"""The square, upright crop in which the landmark network sees a face, and the way back.

A crop is a similarity of the picture: centre, side and roll. Crop coordinates are normalised, with
``(0, 0)`` the top-left corner and ``(1, 1)`` the bottom-right corner of the square.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.landmarks import CROP_MARGIN
from retalking.face.picture import Box
from retalking.ibug68 import OUTER_LIPS, eye_centers
from retalking.types import FACE_PORTRAIT_PX, Float64Array, FloatArray, UInt8Array

PORTRAIT_MARGIN = 1.2


@dataclass(frozen=True)
class FaceCrop:
    """A rotated square in a picture.

    Attributes:
        center_px: float ``(x, y)``.
        side_px: length of the square's sides.
        roll_rad: clockwise turn of the head on the screen that the crop undoes.
    """

    center_px: tuple[float, float]
    side_px: float
    roll_rad: float = 0.0

    def _axes(self) -> np.ndarray:
        cos, sin = np.cos(self.roll_rad), np.sin(self.roll_rad)
        return np.array([[cos, -sin], [sin, cos]], np.float64) * self.side_px

    def from_crop(self, size_px: int) -> Float64Array:
        """Transform ``[2, 3]`` from a crop of this size to the picture."""
        matrix = np.concatenate([self._axes() / size_px, np.zeros((2, 1))], axis=1)
        matrix[:, 2] = self.to_picture(np.full(2, 0.5 / size_px, np.float32))
        return matrix

    def reach(self, size_px: int) -> Box:
        """Box that holds what ``cut_crop`` reads for a crop of this size; it may be too large."""
        shrink = max(int(self.side_px / size_px), 1)
        reach = self._half_extent_px + 2 * shrink + 2
        x, y = self.center_px
        return (
            int(np.floor(x - reach)),
            int(np.floor(y - reach)),
            int(np.ceil(x + reach)) + 1,
            int(np.ceil(y + reach)) + 1,
        )

    @property
    def _half_extent_px(self) -> float:
        """From the centre to the sides of the upright square around the crop."""
        return self.side_px * 0.5 * (abs(np.cos(self.roll_rad)) + abs(np.sin(self.roll_rad)))

    def to_picture(self, points: FloatArray) -> FloatArray:
        """Map normalised crop points ``[..., 2 or 3]`` to pixels; a third column is only scaled."""
        flat = (points[..., :2] - 0.5) @ self._axes().T + np.asarray(self.center_px)
        depth = points[..., 2:] * self.side_px
        return np.concatenate([flat, depth], axis=-1).astype(np.float32)

    def to_crop(self, points: FloatArray) -> FloatArray:
        """Map pixel points ``[..., 2 or 3]`` to normalised crop points; the inverse."""
        inverse = np.linalg.inv(self._axes())
        flat = (points[..., :2] - np.asarray(self.center_px)) @ inverse.T + 0.5
        depth = points[..., 2:] / self.side_px
        return np.concatenate([flat, depth], axis=-1).astype(np.float32)


def crop_around_box(box_px: FloatArray, margin: float = CROP_MARGIN) -> FaceCrop:
    """Return the upright crop of a landmark box ``(x1, y1, x2, y2)``."""
    x1, y1, x2, y2 = (float(v) for v in box_px)
    return FaceCrop(((x1 + x2) / 2, (y1 + y2) / 2), margin * max(x2 - x1, y2 - y1, 1.0))


def crop_around_landmarks(points_px: FloatArray, margin: float = CROP_MARGIN) -> FaceCrop:
    """Return the crop of 68 landmarks ``[68, 2 or 3]`` that puts the eyes above the mouth.

    The roll comes from the line between the eyes' centre and the mouth, which keeps its direction
    when the head turns sideways, unlike the line through the eyes.
    """
    flat = points_px[:, :2].astype(np.float64)
    right, left = eye_centers(flat)
    eyes = (right + left) / 2
    down = flat[OUTER_LIPS].mean(0) - eyes
    roll = float(np.arctan2(-down[0], down[1]))
    cos, sin = np.cos(roll), np.sin(roll)
    axes = np.array([[cos, -sin], [sin, cos]])
    upright = flat @ axes
    low, high = upright.min(0), upright.max(0)
    x, y = axes @ ((low + high) / 2)
    return FaceCrop((float(x), float(y)), margin * max(float((high - low).max()), 1.0), roll)


def landmark_box(points_px: FloatArray) -> FloatArray:
    """Return the box ``[..., 4]`` (x1, y1, x2, y2) around landmarks ``[..., 68, 2 or 3]``."""
    flat = points_px[..., :2]
    return np.concatenate([flat.min(-2), flat.max(-2)], axis=-1).astype(np.float32)


def cut_crop(rgb: UInt8Array, crop: FaceCrop, size_px: int) -> UInt8Array:
    """Resample a crop of ``[H, W, 3]`` to ``[size_px, size_px, 3]``; black outside the picture.

    Large faces are first shrunk by area averaging inside their region, so that a 4K face is not
    aliased and costs no more than its own pixels.
    """
    forward = crop.from_crop(size_px)
    shrink = int(crop.side_px / size_px)
    if shrink >= 2:
        reach = crop._half_extent_px
        height, width = rgb.shape[:2]
        x0, x1 = _span(crop.center_px[0], reach, width, shrink)
        y0, y1 = _span(crop.center_px[1], reach, height, shrink)
        if x1 - x0 < shrink or y1 - y0 < shrink:
            return np.zeros((size_px, size_px, 3), np.uint8)
        small = ((x1 - x0) // shrink, (y1 - y0) // shrink)
        part = cv2.resize(rgb[y0:y1, x0:x1], small, interpolation=cv2.INTER_AREA)
        rgb = part.astype(np.uint8, copy=False)
        forward[:, 2] = (forward[:, 2] - (x0, y0) + 0.5) / shrink - 0.5
        forward[:, :2] /= shrink
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(rgb, forward, (size_px, size_px), flags=flags)
    return cut.astype(np.uint8, copy=False)


def cut_portrait(rgb: UInt8Array, points_px: FloatArray) -> UInt8Array:
    """Cut the upright portrait ``[112, 112, 3]`` of a face with landmarks ``[68, 2 or 3]``."""
    return cut_crop(rgb, crop_around_landmarks(points_px, PORTRAIT_MARGIN), FACE_PORTRAIT_PX)


def _span(center: float, reach: float, limit: int, step: int) -> tuple[int, int]:
    start = int(np.clip(np.floor(center - reach) - step, 0, limit))
    stop = int(np.clip(np.ceil(center + reach) + step, 0, limit))
    return start, start + (stop - start) // step * step
