"""Two-dimensional Fourier transforms of real pictures, as FFT or as products with small matrices.

The products are exact as well. They take more arithmetic, but neither complex numbers nor an
operator that runtimes beside PyTorch lack, so a network that is traced for one of these uses them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def to_spectrum(x: Tensor) -> Tensor:
    """Transform pictures, orthonormal.

    Args:
        x: float32 ``[B, C, H, W]``.

    Returns:
        ``[B, 2 C, H, W // 2 + 1]``; channels interleave: real and imaginary part of channel 0, then
        of channel 1 ...
    """
    if torch.jit.is_tracing():
        return _products_to_spectrum(x)
    spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
    return spectrum.permute(0, 1, 4, 2, 3).flatten(1, 2)


def from_spectrum(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo ``to_spectrum``.

    Args:
        planes: float32 ``[B, 2 C, H, W // 2 + 1]``.
        size: ``H`` and ``W``.

    Returns:
        ``[B, C, H, W]``.
    """
    if torch.jit.is_tracing():
        return _products_from_spectrum(planes, size)
    parts = planes.unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2).contiguous()
    return torch.fft.irfft2(torch.view_as_complex(parts), s=size, norm="ortho")


def _products_to_spectrum(x: Tensor) -> Tensor:
    height, width = (int(side) for side in x.shape[-2:])
    down_cos, down_sin = _waves(height, height, x)
    across_cos, across_sin = (waves.T for waves in _waves(width // 2 + 1, width, x))
    even, odd = x @ across_cos, x @ across_sin
    real = down_cos @ even - down_sin @ odd
    imaginary = -(down_sin @ even + down_cos @ odd)
    return torch.stack([real, imaginary], dim=2).flatten(1, 2)


def _products_from_spectrum(planes: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = (int(side) for side in size)
    real, imaginary = planes[:, 0::2], planes[:, 1::2]
    down_cos, down_sin = _waves(height, height, planes)
    across_cos, across_sin = _waves(width // 2 + 1, width, planes)
    # What the spectrum of a real picture leaves out mirrors all columns but the first and, of an
    # even width, the last.
    times = torch.full((width // 2 + 1, 1), 2.0, dtype=planes.dtype, device=planes.device)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    even = down_cos @ real - down_sin @ imaginary
    odd = down_sin @ real + down_cos @ imaginary
    return even @ (times * across_cos) - odd @ (times * across_sin)


def _waves(count: int, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[count, length]`` of the first frequencies, orthonormal."""
    numbers = torch.outer(torch.arange(count), torch.arange(length)) % length
    angles = numbers.double() * (2 * math.pi / length)
    waves = torch.stack([angles.cos(), angles.sin()]) / math.sqrt(length)
    cosines, sines = waves.to(like.dtype).to(like.device)
    return cosines, sines
