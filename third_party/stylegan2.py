"""Parts of StyleGAN2 (arXiv 1912.04958) that several networks here are built from.

GFPGAN's "clean" variant and E-Net replace StyleGAN2's FIR resampling by bilinear resampling and
its activation gain by a plain factor; GPEN keeps the original ones (``third_party/gpen``). All
share the modulation itself. Parameter names are those of the published checkpoints.

Legend: ``B`` batch, ``C`` input channels, ``O`` output channels, ``D`` style size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retalking.errors import ConfigError
from third_party.doubling import convolve_doubled_bilinearly, double_bilinearly

LEAKY_SLOPE = 0.2
_EPS = 1e-8


def _halve_bilinearly(x: Tensor) -> Tensor:
    """Halve ``[B, C, H, W]``; pixel centres aligned."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Factor that gives each output channel unit expected variance (paper equation 3).

    Always in float32: the sum of squares over thousands of taps loses too much in bfloat16.

    Args:
        weight: ``[O, C, k, k]``.
        style: ``[B, C]`` per-channel scale of the input.

    Returns:
        float32 ``[B, O, 1, 1]``.
    """
    with torch.autocast(weight.device.type, enabled=False):
        tap_energy = weight.float().square().sum(dim=(2, 3))
        energy = F.linear(style.float().square(), tap_energy)
        return torch.rsqrt(energy + _EPS)[:, :, None, None]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    transposed: bool = False,
    doubled: bool = False,
    gain: float = 1.0,
    bias: Tensor | None = None,
) -> Tensor:
    """Convolve with a weight whose input channels are scaled sample by sample.

    The scale is applied to the activations and the demodulation to the result, which equals
    modulating the weight of every sample but keeps one dense convolution for the whole batch.
    CPUs are busier with such passes over a large picture than with the convolution: there, unless
    gradients are wanted, every sample gets a convolution with a weight of its own.

    Args:
        x: ``[B, C, H, W]``.
        weight: ``[O, C, k, k]``, k odd.
        style: ``[B, C]``.
        demodulate: divide by the expected deviation of each output channel.
        transposed: transposed convolution of stride 2 without padding.
        doubled: double ``x`` bilinearly first; k is 3.
        gain: factor of the result.
        bias: ``[O]``, added to it.

    Returns:
        ``[B, O, H, W]``, or ``[B, O, 2H - 2 + k, 2W - 2 + k]`` with ``transposed``, or
        ``[B, O, 2H, 2W]`` with ``doubled``.
    """
    convolve = convolve_doubled_bilinearly if doubled else partial(F.conv2d, padding="same")
    factor = style.new_full((1, 1, 1, 1), gain, dtype=torch.float32)
    if demodulate:
        factor = factor * demodulation(weight, style)
    each_alone = x.device.type == "cpu" and not torch.is_grad_enabled() and not transposed
    if each_alone and not torch.jit.is_tracing():  # a traced network takes any number of samples
        scales = style.float()[:, None, :, None, None] * factor[..., None]
        pairs = zip(x.split(1), (weight * scales).to(weight.dtype), strict=True)
        return torch.cat([convolve(one, each, bias) for one, each in pairs])
    scaled = x * style[:, :, None, None].to(x.dtype)
    if transposed:
        out = F.conv_transpose2d(scaled, weight.transpose(0, 1), stride=2)
    else:
        out = convolve(scaled, weight)
    out = out * factor.to(out.dtype)
    return out if bias is None else out + bias[:, None, None].to(out.dtype)


@dataclass(frozen=True)
class StyleGAN2Config:
    """Shape of a StyleGAN2 generator; the defaults are those of the published restorers.

    Attributes:
        size_px: side of the square picture, a power of two, at least 8.
        style_dim: length of one latent vector.
        channel_multiplier: factor on the channels above 32 px.
        narrow: factor on all channel counts.
        num_mlp_layers: depth of the mapping network.

    Raises:
        ConfigError: doubling from the 4 px constant does not reach ``size_px``.
    """

    size_px: int = 512
    style_dim: int = 512
    channel_multiplier: float = 2.0
    narrow: float = 1.0
    num_mlp_layers: int = 8

    def __post_init__(self) -> None:
        if self.size_px < 8 or self.size_px & (self.size_px - 1):
            raise ConfigError(f"size_px: got {self.size_px}, expected a power of two from 8 on")

    def level_channels(self) -> list[int]:
        """Feature channels at 4, 8, ..., ``size_px``."""
        sizes_px = [1 << k for k in range(2, self.size_px.bit_length())]
        full = [
            512 if size <= 32 else (1 << 14) / size * self.channel_multiplier for size in sizes_px
        ]
        return [int(channels * self.narrow) for channels in full]


class PixelNorm(nn.Module):
    """Scale each row of ``[B, D]`` to unit mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised rows ``[B, D]``."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + _EPS)


class CheckpointWeight(nn.Module):
    """Holds a convolution weight ``[O, C, k, k]`` that checkpoints store as ``[1, O, C, k, k]``.

    In memory it has four dimensions, since no five-dimensional tensor can be put in the
    ``channels_last`` layout.
    """

    weight: nn.Parameter

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = destination[prefix + "weight"][None]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        stored = state_dict.get(prefix + "weight")
        if stored is not None and stored.ndim == 5 and len(stored) == 1:
            state_dict[prefix + "weight"] = stored[0]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class ModulatedConv2d(CheckpointWeight):
    """Convolution whose input channels are scaled by an affine map of a style vector."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.modulation = nn.Linear(style_dim, in_channels)
        nn.init.kaiming_normal_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)
        fan_in = in_channels * kernel_size**2
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(fan_in))

    def forward(
        self,
        x: Tensor,
        style: Tensor,
        bias: Tensor | None = None,
        gain: float = 1.0,
        doubled: bool = False,
    ) -> Tensor:
        """Convolve ``x`` ``[B, C, H, W]`` under ``style`` ``[B, D]``; see ``modulated_conv2d``."""
        return modulated_conv2d(
            x,
            self.weight,
            self.modulation(style),
            demodulate=self.demodulate,
            doubled=doubled,
            gain=gain,
            bias=bias,
        )


class StyleConv(nn.Module):
    """Modulated 3x3 convolution, gain sqrt(2), noise, bias, leaky ReLU 0.2.

    With ``upsample`` the input is doubled bilinearly first.
    """

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, upsample: bool = False
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.modulated_conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim)
        self.weight = nn.Parameter(torch.zeros(1))  # strength of the noise
        self.bias = nn.Parameter(torch.zeros(1, out_channels, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        """Run the layer.

        Args:
            x: ``[B, C, H, W]``.
            style: ``[B, D]``.
            noise: unit-variance map broadcastable to ``[B, 1, H', W']`` of the output, or
                ``None`` for none. Upstream draws it anew at every call, which makes video flicker;
                here the caller decides.

        Returns:
            ``[B, O, H', W']``, where ``H' = 2H`` with ``upsample``.
        """
        bias = self.bias.flatten()
        out = self.modulated_conv(x, style, bias, math.sqrt(2), doubled=self.upsample)
        if noise is not None:
            out = out + (self.weight * noise).to(out.dtype)
        return F.leaky_relu(out, LEAKY_SLOPE, inplace=True)


class ToRGB(nn.Module):
    """Read colours from features and add them to the doubled picture of the level below."""

    def __init__(self, in_channels: int, style_dim: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return ``[B, 3, H, W]``; ``skip`` is the picture ``[B, 3, H/2, W/2]`` so far."""
        out = self.modulated_conv(x, style, self.bias.flatten())
        return out if skip is None else out + double_bilinearly(skip)


class ResBlock(nn.Module):
    """Residual block that halves (``scale=0.5``) or doubles (``scale=2``) bilinearly.

    Main path conv3, leaky, resize, conv3, leaky; shortcut resize, 1x1 without bias; their sum
    is not activated.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, O, H * scale, W * scale]`` of ``[B, C, H, W]``."""
        out = F.leaky_relu(self.conv1(x), LEAKY_SLOPE)
        if self.scale == 2:
            out = convolve_doubled_bilinearly(out, self.conv2.weight, self.conv2.bias)
            shortcut = double_bilinearly(self.skip(x))  # no matter in which order, but cheaper
        else:
            out = self.conv2(_halve_bilinearly(out))
            shortcut = self.skip(_halve_bilinearly(x))
        return F.leaky_relu(out, LEAKY_SLOPE) + shortcut
