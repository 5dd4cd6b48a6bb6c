"""``PictureMark`` on batches of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from retalking.face.affine import invert_affine
from retalking.rendering.on_device.filters import blur
from retalking.rendering.on_device.warping import Warp, resample
from retalking.trust.picture.pattern import GRID_PX
from retalking.types import Float64Array

SPREAD_PX = 1.5  # of the small crop, over which detail is judged
PLAIN, DETAIL, MOST_GAIN = 0.4, 8.0, 2.5
"""Gain of flat skin, levels of detail that add 1, the largest gain."""
_LIGHTNESS = (0.299, 0.587, 0.114)
"""Of red, green and blue, as OpenCV's grey."""


def mark_patches(
    patches: Tensor, masks: Tensor, to_grid: Float64Array, pattern: Tensor, rms: float
) -> Tensor:
    """Add a pattern to faces; see ``PictureMark.apply``.

    Args:
        patches: float32 ``[N, 3, h, w]`` in 0..255.
        masks: float32 ``[N, 1, h, w]``, where they will show.
        to_grid: float64 ``[N, 2, 3]``, patch to grid.
        pattern: float32 ``[N, 1, 96, 96]``, of their moments.
        rms: root mean square of the change within the mask.
    """
    grid = (GRID_PX, GRID_PX)
    weights = torch.tensor(_LIGHTNESS, device=patches.device)[:, None, None]
    grey = (weights * patches).sum(1, keepdim=True)
    light = resample(grey, to_grid, grid, repeats_edge=True)
    shown = resample(masks, to_grid, grid)
    mean, square = blur(light, SPREAD_PX), blur(light * light, SPREAD_PX)
    detail = (square - mean * mean).clamp(min=0).sqrt()
    change = (PLAIN + detail / DETAIL).clamp(max=MOST_GAIN) * pattern
    area = shown.sum((2, 3), keepdim=True).clamp(min=1e-6)
    change = change - (shown * change).sum((2, 3), keepdim=True) / area
    power = (shown * change).square().sum((2, 3), keepdim=True) / area
    change = torch.where(power > 0, change * rms / power.clamp(min=1e-12).sqrt(), 0 * change)
    size_px = (patches.shape[3], patches.shape[2])
    places = Warp.of(invert_affine(to_grid), size_px).to(patches.device)
    return patches + places.apply(change)
