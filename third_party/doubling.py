"""A picture doubled in size and convolved, in fewer multiplications than one after the other.

Doubling repeats every value, so a 3x3 convolution of the result multiplies the same value up to
four times. Summed first, its nine taps are four for each pixel: exact, but for rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_FEW_CHANNELS = 64
"""Below, filtering the result costs about what the multiplications saved do."""


def convolve_doubled(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, reflect: bool = False
) -> Tensor:
    """Double ``[B, C, H, W]`` by nearest neighbour, then convolve.

    Args:
        x: the picture.
        weight: ``[O, C, 3, 3]``.
        bias: ``[O]``.
        reflect: whether the doubled picture is reflected at its border; zeros otherwise.

    Returns:
        ``[B, O, 2H, 2W]``.
    """
    # The first pixel beyond the border of a doubled picture mirrors one that is equal to its edge.
    x = F.pad(x, (1,) * 4, mode="replicate") if reflect else x
    taps = _sum_taps(_sum_taps(weight, 3), 2)
    return F.conv_transpose2d(x, taps.transpose(0, 1), bias, stride=2, padding=3 if reflect else 1)


def convolve_doubled_bilinearly(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Double ``[B, C, H, W]`` bilinearly, pixel centres aligned, then convolve with zeros around.

    Bilinear doubling is doubling by nearest neighbour and a binomial filter over the result, and
    that filter may come last. Only the outermost pixels, where the convolution meets zeros, are
    computed one after the other.

    Args:
        x: the picture, at least 2 px high and wide.
        weight: ``[O, C, 3, 3]``.
        bias: ``[O]``.

    Returns:
        ``[B, O, 2H, 2W]``.
    """
    if weight.shape[1] < _FEW_CHANNELS or torch.jit.is_tracing():
        return F.conv2d(double_bilinearly(x), weight, bias, padding=1)
    out = _smooth(convolve_doubled(x, weight, bias, reflect=True))
    for axis in (2, 3):
        for edge, start in ((0, 0), (-1, x.shape[axis] - 2)):
            strip = double_bilinearly(x.narrow(axis, start, 2))
            exact = F.conv2d(strip, weight, bias, padding=1)
            out.select(axis, edge).copy_(exact.select(axis, edge))
    return out


def double_bilinearly(x: Tensor) -> Tensor:
    """Double ``[B, C, H, W]``; pixel centres aligned."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _sum_taps(weight: Tensor, axis: int) -> Tensor:
    """Taps of the transposed convolution of stride 2, along one axis: 4 of 3."""
    first, second, third = weight.unbind(axis)
    return torch.stack([third, second + third, first + second, first], axis)


def _smooth(x: Tensor) -> Tensor:
    """Filter each channel by ``[1, 2, 1] / 4`` along both axes; the border is of no meaning."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps).expand(int(x.shape[1]), 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=int(x.shape[1]))
