"""Gaussian blur of batches, as ``cv2.GaussianBlur`` of float pictures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from retalking.rendering.on_device.blending import reflect
from retalking.types import FloatArray


def blur(pictures: Tensor, sigma_px: float) -> Tensor:
    """Smooth float32 ``[N, C, H, W]``; what lies beyond is mirrored at the edge's pixels.

    By products with matrices, which a GPU computes in full precision unless it is told otherwise;
    convolutions of float32 it would round to TF32.
    """
    down, across = (_smoothing(side, sigma_px, pictures.device) for side in pictures.shape[2:])
    return down @ pictures @ across.T


@lru_cache(maxsize=32)
def _smoothing(length: int, sigma_px: float, device: torch.device) -> Tensor:
    return torch.from_numpy(smoothing_weights(length, sigma_px)).to(device)


def smoothing_weights(length: int, sigma_px: float) -> FloatArray:
    """How much of each of ``length`` pixels is in each smoothed one: float32, a square."""
    size = round(8 * sigma_px + 1) | 1
    kernel = cv2.getGaussianKernel(size, sigma_px)[:, 0]
    weights = np.zeros((length, length), np.float64)
    pixels = np.arange(length)
    for shift, weight in zip(range(-(size // 2), size // 2 + 1), kernel, strict=True):
        seen = np.array([reflect(pixel, length) for pixel in (pixels + shift).tolist()])
        np.add.at(weights, (pixels, seen), weight)
    return weights.astype(np.float32)
