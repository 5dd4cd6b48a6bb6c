"""Blocks that the networks share. Parameter names are those of the official checkpoints.

Legend: ``B`` batch, ``C`` channels, ``H, W`` height and width in pixels, ``D`` descriptor size.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.spectral_norm import SpectralNormConv2d, weight_of
from third_party.doubling import convolve_doubled

LEAKY_SLOPE = 0.1

Norm = Literal["layer", "batch"]
Resample = Literal["down", "up"]


def level_channels(base: int, maximum: int, num_levels: int) -> list[int]:
    """Channels at full resolution and after each halving: doubled from ``base``, capped."""
    return [min(base * 2**level, maximum) for level in range(num_levels + 1)]


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU with the slope that D-Net and L-Net use."""
    return F.leaky_relu(x, LEAKY_SLOPE)


class LayerNorm2d(nn.Module):
    """Layer norm over channels and pixels of a sample, with one gain and bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, H, W]``."""
        # One group is the same as a layer norm over C, H, W and keeps channels_last.
        return F.group_norm(x, 1, self.weight.flatten(), self.bias.flatten())


class AdaIN(nn.Module):
    """Instance norm whose gain and bias a small network reads from a descriptor.

    Adaptive instance normalisation, Huang and Belongie 2017; the gain is predicted as 1 + g.
    """

    def __init__(self, channels: int, descriptor_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(
            nn.Linear(descriptor_channels, hidden_channels), nn.ReLU(inplace=True)
        )
        self.mlp_gamma = nn.Linear(hidden_channels, channels)
        self.mlp_beta = nn.Linear(hidden_channels, channels)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Modulate ``x`` ``[B, C, H, W]`` by ``descriptor`` ``[B, D]``."""
        hidden = self.mlp_shared(descriptor)
        gain = 1 + self.mlp_gamma(hidden)[:, :, None, None].to(x.dtype)
        bias = self.mlp_beta(hidden)[:, :, None, None].to(x.dtype)
        return torch.addcmul(bias, F.instance_norm(x), gain)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Build a 2-D norm: ``layer`` as in the released weights, ``batch`` as in the paper's text."""
    return LayerNorm2d(channels) if norm == "layer" else nn.BatchNorm2d(channels)


def make_conv(
    in_channels: int, out_channels: int, kernel_size: int, spectral_norm: bool
) -> nn.Module:
    """Build a convolution of stride 1 that keeps the size."""
    kind = SpectralNormConv2d if spectral_norm else nn.Conv2d
    return kind(in_channels, out_channels, kernel_size, padding=kernel_size // 2)


class ConvBlock(nn.Module):
    """Convolution, norm, leaky ReLU; ``up`` doubles (nearest) before, ``down`` averages 2x2 after.

    Args:
        in_channels, out_channels: ``C`` before and after.
        kernel_size: 3 or 7 in the official networks.
        norm: see ``make_norm``.
        spectral_norm: whether the convolution's weight is divided by its largest singular value.
        resample: ``None`` keeps the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        norm: Norm = "layer",
        spectral_norm: bool = False,
        resample: Resample | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.model = nn.Sequential(
            make_conv(in_channels, out_channels, kernel_size, spectral_norm),
            make_norm(norm, out_channels),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', H', W']``."""
        if self.resample == "up":
            conv, norm, activation = self.model
            assert isinstance(conv, nn.Conv2d | SpectralNormConv2d)
            made: Tensor = activation(norm(convolve_doubled(x, weight_of(conv), conv.bias)))
            return made
        x = self.model(x)
        return F.avg_pool2d(x, 2) if self.resample == "down" else x


class OutputBlock(nn.Module):
    """7x7 convolution to the picture and an activation that bounds its values."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activation: nn.Module,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            make_conv(in_channels, out_channels, 7, spectral_norm), activation
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, out_channels, H, W]``."""
        return self.model(x)


class ConvNormReLU(nn.Module):
    """Convolution, batch norm, optional residual sum, ReLU (Wav2Lip's block).

    The residual sum requires that the block keeps the shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', H', W']``."""
        out = self.conv_block(x)
        return F.relu(out + x if self.residual else out)


def freeze_absorbed_biases(network: nn.Module) -> None:
    """Leave the biases that a batch norm takes away again as they are, in place.

    In training the norm subtracts them with the mean, so that nothing depends on them. What arrives
    as their gradient is rounding noise, from which Adam would make steps of full length.
    """
    for block in network.modules():
        if isinstance(block, ConvNormReLU):
            block.conv_block[0].bias.requires_grad_(False)
