"""The mark in the picture: added to the new face, in its own coordinates, before it is blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from retalking.arrays import scratch
from retalking.face.affine import invert_affine
from retalking.face.crops import shift_source, warp
from retalking.trust.picture.on_device import DETAIL, MOST_GAIN, PLAIN, SPREAD_PX, mark_patches
from retalking.trust.picture.pattern import GRID_PX, Pattern, lightness, mark_crops
from retalking.types import Float64Array, FloatArray, IntArray

_MOST, _LEAST = 2.1, 0.6
"""Root mean square within the mask, in levels of 255; the most leaves over 42 dB."""
_SMALL_FACE = 1.6  # pixels of the frame per pixel of the small crop: 150 px from hairline to chin
_FALL = 1.7
"""Larger faces have larger cells, which outlive compression with less; by which power of size."""


@dataclass(frozen=True)
class PictureMark:
    """Marks the faces of a video.

    Attributes:
        pattern: what is added.
        to_grid: float64 ``[F, 2, 3]``, frame to small lip crop, for each source frame.
        time_s: float64 ``[N]``, time of each output frame.
        rms: root mean square of the change within the mask, in levels of 255.
    """

    pattern: Pattern
    to_grid: Float64Array
    time_s: Float64Array
    rms: float

    @classmethod
    def place(cls, pattern: Pattern, anchors_px: Float64Array, time_s: Float64Array) -> PictureMark:
        """Place a pattern by the anchors ``[F, 3, 2]`` of the source frames."""
        to_grid = scratch.zeros((len(anchors_px), 2, 3), np.float64)
        for rows in scratch.blocks(len(to_grid)):
            to_grid[rows] = mark_crops(anchors_px[rows])
        return cls(pattern, to_grid, time_s, _strength(to_grid))

    def apply(
        self,
        patch: FloatArray,
        mask: FloatArray,
        corner_px: tuple[int, int],
        number: int,
        source: int,
    ) -> None:
        """Mark a face, in place.

        Lightness alone is changed, by the same power in every frame and by nothing on the whole;
        more where the face has detail that hides it.

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
        area = max(float(shown.sum()), 1e-6)
        change -= np.float32(float((shown * change).sum()) / area)
        power = float(np.square(shown * change).sum()) / area
        if power == 0:
            return
        change *= np.float32(self.rms / np.sqrt(power))
        top = int(mask.any(axis=1).argmax())  # most masks leave the upper half alone
        below = patch[top:]
        to_below = invert_affine(shift_source(matrix, 0, top))
        size = below.shape[1::-1]
        below += cv2.warpAffine(change, to_below, size, flags=cv2.INTER_LINEAR)[..., None]

    def mark_batch(
        self,
        patches: Tensor,
        masks: Tensor,
        corners_px: IntArray,
        numbers: IntArray,
        source: IntArray,
        send: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Mark a batch of faces; see ``rendering.on_device.paste_back.BatchMark``."""
        pairs = zip(source.tolist(), corners_px.tolist(), strict=True)
        to_grid = np.stack([shift_source(self.to_grid[row], *corner) for row, corner in pairs])
        moments = self.time_s[numbers].tolist()
        pattern = np.stack([self.pattern.at(moment) for moment in moments])[:, None]
        return mark_patches(patches, masks, to_grid, send(torch.from_numpy(pattern)), self.rms)


def _gain(light: FloatArray) -> FloatArray:
    mean = cv2.GaussianBlur(light, (0, 0), SPREAD_PX)
    square = cv2.GaussianBlur(light * light, (0, 0), SPREAD_PX)
    detail = np.sqrt(np.maximum(square - mean * mean, 0))
    gain: FloatArray = np.minimum(PLAIN + detail / DETAIL, MOST_GAIN).astype(np.float32)
    return gain


def _strength(to_grid: Float64Array) -> float:
    """Root mean square for a face of this size, the same through the video."""
    sizes = 1 / np.sqrt(np.maximum(np.abs(np.linalg.det(to_grid[:, :, :2])), 1e-9))
    strength = _MOST * (_SMALL_FACE / float(np.median(sizes))) ** _FALL
    return float(np.clip(strength, _LEAST, _MOST))
