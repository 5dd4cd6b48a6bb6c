"""Pictures of bytes and of numbers, and crops of them, in batches where they are."""

from __future__ import annotations

import torch
from torch import Tensor

from retalking.rendering.on_device.warping import resample
from retalking.types import Float64Array


def to_planes(pictures: Tensor) -> Tensor:
    """uint8 ``[N, H, W, 3]`` -> float32 ``[N, 3, H, W]`` in 0..255."""
    return pictures.permute(0, 3, 1, 2).float()


def to_bytes(pictures: Tensor) -> Tensor:
    """Undo ``to_planes`` of whole numbers."""
    return pictures.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def cut(pictures: Tensor, to_crops: Float64Array, size_px: int) -> Tensor:
    """``face.crops.cut`` of float32 ``[N, 3, H, W]`` in 0..255, as whole numbers in float32."""
    return resample(pictures, to_crops, (size_px, size_px), repeats_edge=True, rounds=True)
