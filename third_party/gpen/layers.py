"""StyleGAN2's own layers (arXiv 1912.04958): equalised learning rate and FIR resampling.

GPEN keeps them where the "clean" variants in ``third_party/stylegan2.py`` do without. Upstream
needs compiled operators for them; plain convolutions give the same values.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from third_party.stylegan2 import LEAKY_SLOPE, CheckpointWeight, modulated_conv2d


def leaky_sqrt2(x: Tensor) -> Tensor:
    """Leaky ReLU 0.2 with the gain that keeps the variance."""
    return F.leaky_relu(x, LEAKY_SLOPE) * math.sqrt(2)


def fir_kernel(gain: float = 1.0) -> Tensor:
    """Binomial low-pass ``[4, 4]`` whose taps sum to ``gain``."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(taps, taps) * gain


class Blur(nn.Module):
    """Pad with zeros by ``padding`` on each side and filter each channel; loses 3 px in size."""

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", fir_kernel(gain))

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``[B, C, H, W]``."""
        channels = int(x.shape[1])  # a tensor while a network is traced
        weight = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(x, weight, padding=self.padding, groups=channels)


class Upsample(nn.Module):
    """Double ``[B, C, H, W]`` by zero-stuffing and the FIR low-pass."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(gain=4.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C, 2H, 2W]``."""
        channels = int(x.shape[1])  # a tensor while a network is traced
        weight = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


class EqualLinear(nn.Module):
    """Linear layer that stores its weight times ``sqrt(in_features) / lr_multiplier``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.scale = lr_multiplier / math.sqrt(in_features)
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_features]`` to ``[B, out_features]``."""
        out = F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)
        return leaky_sqrt2(out) if self.activate else out


class EqualConv2d(nn.Module):
    """Convolution without bias that stores its weight times ``sqrt(fan_in)``; no padding."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.stride = stride
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]``."""
        return F.conv2d(x, self.weight * self.scale, stride=self.stride)


class BiasActivation(nn.Module):
    """Add a bias per channel, then leaky ReLU 0.2 times sqrt(2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Activate ``[B, C, H, W]``."""
        return leaky_sqrt2(x + self.bias[:, None, None].to(x.dtype))


class EqualModulatedConv2d(CheckpointWeight):
    """Modulated convolution with equalised weights; ``upsample`` doubles with the FIR filter."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape))
        self.modulation = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.blur = Blur(padding=1, gain=4.0) if upsample else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]`` under ``style`` ``[B, D]``."""
        out = modulated_conv2d(
            x,
            self.weight * self.scale,
            self.modulation(style),
            demodulate=self.demodulate,
            transposed=self.blur is not None,
        )
        return out if self.blur is None else self.blur(out)
