"""Pixel-wise L1 (paper Eq. 5 and 10) and two relatives. All reduce to a scalar mean.

Shapes: any ``[..., H, W]``; both arguments alike.
"""

from __future__ import annotations

from torch import Tensor


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, Eq. 5 and 10 divided by the number of values."""
    return (output - target).abs().mean()


def weighted_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference where ``weight`` says how much a pixel counts.

    A mask is the special case of weights 0 and 1. Every sample is normalised by its own weight, so
    that the value does not depend on how a batch is cut into micro-batches or ranks. A sample
    whose weight is zero everywhere contributes 0.

    Args:
        output: ``[B, ...]``.
        target: like ``output``.
        weight: non-negative, broadcastable to ``output``, such as ``[B, 1, H, W]``.
    """
    weight = weight.expand_as(output).flatten(1)
    difference = (output - target).abs().flatten(1)
    total = weight.sum(1)
    return ((weight * difference).sum(1) / total.where(total > 0, 1.0)).mean()


def gradient_l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of horizontal plus that of vertical finite differences.

    Penalises blur, which plain L1 tolerates; not in the paper, used by the lite recipes.
    """
    error = output - target
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
