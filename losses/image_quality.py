"""How near a picture is to the truth, for validation: PSNR and SSIM. ``B`` counts pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, averaged over the batch.

    Args:
        output: ``[B, C, H, W]`` in [0, 1].
        target: like ``output``.

    Returns:
        A scalar; 100 for pictures that are the same.
    """
    errors = (output.float() - target.float()).square().flatten(1).mean(1)
    return (-10 * errors.clamp(min=1e-10).log10()).mean()


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), averaged over channels, windows and pictures.

    Windows are Gaussians of 11 px and stay inside the picture.

    Args:
        output: ``[B, C, H, W]`` in [0, 1], at least 11 px wide and high.
        target: like ``output``.

    Returns:
        A scalar in [-1, 1].
    """
    x, y = output.float().flatten(0, 1)[:, None], target.float().flatten(0, 1)[:, None]
    offsets = torch.arange(_WINDOW_PX, device=x.device, dtype=torch.float32) - _WINDOW_PX // 2
    weights = torch.softmax(-offsets.square() / (2 * _SIGMA_PX**2), dim=0)
    kernel = torch.outer(weights, weights)[None, None]
    mean_x, mean_y, square_x, square_y, product = (
        F.conv2d(value, kernel) for value in (x, y, x * x, y * y, x * y)
    )
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    covariance = product - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (similarity / ((mean_x.square() + mean_y.square() + _C1) * (variances + _C2))).mean()
