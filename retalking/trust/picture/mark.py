"""The mark in the picture: added to the new face, in its own coordinates, before it is blended."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from retalking.face.affine import invert_affine
from retalking.face.crops import shift_source, warp
from retalking.trust.picture.pattern import GRID_PX, Pattern, lightness, mark_crops
from retalking.types import Float64Array, FloatArray

_RMS = 2.2
"""Levels of 255 within the mask: a little over 42 dB."""
_SPREAD_PX = 1.5  # of the small crop, over which detail is judged
_PLAIN, _DETAIL, _MOST = 0.8, 20.0, 1.3  # gain of flat skin, levels of detail that add 1, the most


@dataclass(frozen=True)
class PictureMark:
    """Marks the faces of a video.

    Attributes:
        pattern: what is added.
        to_grid: float64 ``[F, 2, 3]``, frame to small lip crop, for each source frame.
        time_s: float64 ``[N]``, time of each output frame.
    """

    pattern: Pattern
    to_grid: Float64Array
    time_s: Float64Array

    @classmethod
    def place(cls, pattern: Pattern, anchors_px: Float64Array, time_s: Float64Array) -> PictureMark:
        """Place a pattern by the anchors ``[F, 3, 2]`` of the source frames."""
        return cls(pattern, mark_crops(anchors_px), time_s)

    def apply(
        self,
        patch: FloatArray,
        mask: FloatArray,
        corner_px: tuple[int, int],
        number: int,
        source: int,
    ) -> None:
        """Mark a face, in place.

        Lightness alone is changed, by the same power in every frame; more where the face has
        detail that hides it.

        Args:
            patch: float32 ``[h, w, 3]`` in 0..255, the new face in pixels of the frame.
            mask: float32 ``[h, w]``, where it will show.
            corner_px: x and y of the patch in the frame.
            number: of the output frame.
            source: the frame that it shows.
        """
        matrix = shift_source(self.to_grid[source], *corner_px)
        grid = (GRID_PX, GRID_PX)
        light = warp(lightness(patch), matrix, grid, cv2.BORDER_REPLICATE)
        shown = warp(mask, matrix, grid)
        change = _gain(light) * self.pattern.at(float(self.time_s[number]))
        power = float((shown * change**2).sum()) / max(float(shown.sum()), 1e-6)
        if power == 0:
            return
        change *= np.float32(_RMS / np.sqrt(power))
        size = (patch.shape[1], patch.shape[0])
        patch += cv2.warpAffine(change, invert_affine(matrix), size, flags=cv2.INTER_LINEAR)[
            ..., None
        ]


def _gain(light: FloatArray) -> FloatArray:
    mean = cv2.GaussianBlur(light, (0, 0), _SPREAD_PX)
    square = cv2.GaussianBlur(light * light, (0, 0), _SPREAD_PX)
    detail = np.sqrt(np.maximum(square - mean * mean, 0))
    gain: FloatArray = np.minimum(_PLAIN + detail / _DETAIL, _MOST).astype(np.float32)
    return gain
