"""Gaussian blur of batches, as ``cv2.GaussianBlur`` of float pictures."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from retalking.rendering.on_device.blending import reflected


def blur(pictures: Tensor, sigma_px: float) -> Tensor:
    """Smooth float32 ``[N, C, H, W]``; what lies beyond is mirrored at the edge's pixels."""
    size = round(8 * sigma_px + 1) | 1
    kernel = torch.from_numpy(cv2.getGaussianKernel(size, sigma_px).astype(np.float32))
    kernel = kernel.to(pictures)
    count, channels = pictures.shape[:2]
    for axis, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
        wide = reflected(pictures, axis, size // 2)
        planes = wide.reshape(count * channels, 1, *wide.shape[2:])
        pictures = conv2d(planes, kernel.reshape(shape)).unflatten(0, (count, channels))[:, :, 0]
    return pictures
