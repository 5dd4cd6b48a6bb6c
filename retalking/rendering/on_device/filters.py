"""Gaussian blur of batches, as ``cv2.GaussianBlur`` of float pictures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from retalking.rendering.on_device.blending import reflected


def blur(pictures: Tensor, sigma_px: float) -> Tensor:
    """Smooth float32 ``[N, C, H, W]``; what lies beyond is mirrored at the edge's pixels."""
    kernel = _kernel(sigma_px, pictures.device)
    count, channels = pictures.shape[:2]
    for axis, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
        wide = reflected(pictures, axis, len(kernel) // 2)
        planes = wide.reshape(count * channels, 1, *wide.shape[2:])
        pictures = conv2d(planes, kernel.reshape(shape)).unflatten(0, (count, channels))[:, :, 0]
    return pictures


@lru_cache(maxsize=16)
def _kernel(sigma_px: float, device: torch.device) -> Tensor:
    size = round(8 * sigma_px + 1) | 1
    weights = cv2.getGaussianKernel(size, sigma_px)[:, 0].astype(np.float32)
    return torch.from_numpy(weights).to(device)
