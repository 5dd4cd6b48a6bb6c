"""Gram-matrix style distance (Gatys et al. 2016; paper Eq. 3).

Eq. 3 sums over layers and says nothing of scales. Its weight of 250 is PIRender's, whose code takes
the perceptual distance at four scales but the style at full scale only; so do the recipes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gram(activation: Tensor) -> Tensor:
    """Return ``F F^T / (C H W)`` for activations ``[B, C, H, W]``: float32 ``[B, C, C]``.

    Whatever the precision of the activations: the product adds up ``H W`` squares, more than half
    precision can hold.
    """
    with torch.autocast(activation.device.type, enabled=False):
        flat = activation.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def style(output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Sum over activations of the mean absolute difference of their Gram matrices.

    Args:
        output: ``FeaturePyramid.full_scale`` of the generated picture (losses/perceptual.py).
        target: that of the ground truth, computed without gradient.
    """
    distances = [(gram(a) - gram(b)).abs().mean() for a, b in zip(output, target, strict=True)]
    return torch.stack(distances).sum()
