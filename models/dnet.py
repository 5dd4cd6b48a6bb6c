"""D-Net: edits the expression of a face by 3DMM coefficients (paper 3.1 and C.1).

Three parts after PIRenderer (Ren et al. 2021): a mapping from a window of coefficients to one
descriptor, a warping network that predicts a flow, and an editing network that repaints.

Legend: ``B`` batch, ``H, W`` picture size, ``T`` frames of a coefficient window, ``D`` descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.checks import require, require_positive
from models.layers import (
    LEAKY_SLOPE,
    AdaIN,
    ConvBlock,
    LayerNorm2d,
    leaky_relu,
    level_channels,
)
from models.unet import ConditionedDecoder
from models.warping import flow_to_deformation, warp
from retalking.errors import ConfigError


@dataclass(frozen=True)
class DNetConfig:
    """Widths and depths of D-Net; the defaults are those of the released DNet.pt.

    Attributes:
        coefficient_channels: values per frame: expression 64, angle 3, translation 3, crop 3.
        descriptor_channels: size of the descriptor that modulates both networks.
        mapping_layers: dilated convolutions over time; each shortens the window by 6 frames.
        adain_channels: hidden width of each AdaIN.
        warping_base_channels, warping_max_channels: width at full size, doubled up to the cap.
        warping_down_levels, warping_up_levels: halvings and doublings; the flow has
            ``1 / 2 ** (down - up)`` of the picture's size.
        editing_base_channels, editing_max_channels: as for the warping network.
        editing_levels: halvings of the editing network.
        editing_blocks: residual blocks per level.
        chained_blocks: whether both convolutions of a residual block count, as the name
            says; the released weights were trained with the second one alone.
        spectral_norm: spectral norm in the editing network, as the paper's C.1.1 says; the
            released weights have none.
    """

    coefficient_channels: int = 73
    descriptor_channels: int = 256
    mapping_layers: int = 3
    adain_channels: int = 128
    warping_base_channels: int = 32
    warping_max_channels: int = 256
    warping_down_levels: int = 5
    warping_up_levels: int = 3
    editing_base_channels: int = 64
    editing_max_channels: int = 256
    editing_levels: int = 3
    editing_blocks: int = 2
    chained_blocks: bool = False
    spectral_norm: bool = False

    def __post_init__(self) -> None:
        switches = ("chained_blocks", "spectral_norm")
        require_positive(self, *(f for f in self.__dataclass_fields__ if f not in switches))
        fits = self.warping_up_levels <= self.warping_down_levels
        most = f"at most warping_down_levels ({self.warping_down_levels})"
        require(fits, self, "warping_up_levels", most)

    @property
    def min_window(self) -> int:
        """Fewest frames ``T`` of a coefficient window."""
        return 6 * (self.mapping_layers + 1) + 1

    @property
    def size_divisor(self) -> int:
        """Picture sizes must be multiples of this."""
        return int(2 ** max(self.warping_down_levels, self.editing_levels))


class DNetOutput(NamedTuple):
    """What D-Net computes, in this order.

    Attributes:
        descriptor: ``[B, D]``.
        flow_px: ``[B, 2, h, w]``, x and y in pixels of the flow's own grid.
        warped: ``[B, 3, H, W]``, the picture moved by the flow.
        edited: ``[B, 3, H, W]`` in [-1, 1]; ``None`` where only the warp was asked for.
    """

    descriptor: Tensor
    flow_px: Tensor
    warped: Tensor
    edited: Tensor | None


class MappingNet(nn.Module):
    """Coefficient window to descriptor: 1-D convolutions over time without padding, then mean."""

    def __init__(self, config: DNetConfig) -> None:
        super().__init__()
        width = config.descriptor_channels
        self.num_layers = config.mapping_layers
        self.min_window = config.min_window
        self.first = nn.Sequential(nn.Conv1d(config.coefficient_channels, width, 7))
        for index in range(self.num_layers):
            layer = nn.Sequential(nn.LeakyReLU(LEAKY_SLOPE), nn.Conv1d(width, width, 3, dilation=3))
            self.add_module(f"encoder{index}", layer)

    def forward(self, coefficients: Tensor) -> Tensor:
        """Map ``[B, 73, T]`` to ``[B, D]``.

        Raises:
            ConfigError: the window is too short for the layers.
        """
        if coefficients.shape[-1] < self.min_window:
            raise ConfigError(
                f"D-Net: coefficient window of {coefficients.shape[-1]} frames, "
                f"expected at least {self.min_window}"
            )
        x = self.first(coefficients)
        for index in range(self.num_layers):
            x = self.get_submodule(f"encoder{index}")(x) + x[:, :, 3:-3]
        return x.mean(dim=2)


class DownBlock(nn.Module):
    """AdaIN, leaky, 4x4 convolution of stride 2; AdaIN, leaky, 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int, descriptor: int, hidden: int) -> None:
        super().__init__()
        self.norm_0 = AdaIN(in_channels, descriptor, hidden)
        self.conv_0 = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)
        self.norm_1 = AdaIN(out_channels, descriptor, hidden)
        self.conv_1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', H / 2, W / 2]``."""
        x = self.conv_0(leaky_relu(self.norm_0(x, descriptor)))
        return self.conv_1(leaky_relu(self.norm_1(x, descriptor)))


class UpBlock(nn.Module):
    """Residual block that doubles the size with transposed convolutions on both paths."""

    def __init__(self, in_channels: int, out_channels: int, descriptor: int, hidden: int) -> None:
        super().__init__()
        self.norm_0 = AdaIN(in_channels, descriptor, hidden)
        self.conv_0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm_1 = AdaIN(out_channels, descriptor, hidden)
        self.conv_1 = _doubling_conv(out_channels, out_channels)
        self.norm_s = AdaIN(in_channels, descriptor, hidden)
        self.conv_s = _doubling_conv(in_channels, out_channels)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', 2H, 2W]``."""
        shortcut = self.conv_s(leaky_relu(self.norm_s(x, descriptor)))
        x = self.conv_0(leaky_relu(self.norm_0(x, descriptor)))
        return shortcut + self.conv_1(leaky_relu(self.norm_1(x, descriptor)))


def _doubling_conv(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)


class HourglassEncoder(nn.Module):
    """7x7 convolution and halving blocks."""

    def __init__(self, config: DNetConfig, channels: list[int]) -> None:
        super().__init__()
        descriptor, hidden = config.descriptor_channels, config.adain_channels
        self.input_layer = nn.Conv2d(3, channels[0], 7, padding=3)
        self.num_levels = len(channels) - 1
        for level in range(self.num_levels):
            block = DownBlock(channels[level], channels[level + 1], descriptor, hidden)
            self.add_module(f"encoder{level}", block)

    def forward(self, image: Tensor, descriptor: Tensor) -> list[Tensor]:
        """Return the features of every size, full size first."""
        features = [self.input_layer(image)]
        for level in range(self.num_levels):
            features.append(self.get_submodule(f"encoder{level}")(features[-1], descriptor))
        return features


class HourglassDecoder(nn.Module):
    """Doubling blocks, each followed by the concatenation of the encoder's features."""

    def __init__(self, config: DNetConfig, channels: list[int]) -> None:
        super().__init__()
        descriptor, hidden = config.descriptor_channels, config.adain_channels
        first = config.warping_down_levels - config.warping_up_levels
        self.levels = list(reversed(range(first, config.warping_down_levels)))
        self.out_channels = channels[-1]
        for level in self.levels:
            block = UpBlock(self.out_channels, channels[level], descriptor, hidden)
            self.add_module(f"decoder{level}", block)
            self.out_channels = 2 * channels[level]

    def forward(self, features: list[Tensor], descriptor: Tensor) -> Tensor:
        """Return ``[B, out_channels, h, w]`` at the size of the flow."""
        x = features[-1]
        for level in self.levels:
            x = self.get_submodule(f"decoder{level}")(x, descriptor)
            x = torch.cat([x, features[level]], dim=1)
        return x


class Hourglass(nn.Module):
    """Encoder and decoder of the warping network."""

    def __init__(self, config: DNetConfig) -> None:
        super().__init__()
        channels = level_channels(
            config.warping_base_channels, config.warping_max_channels, config.warping_down_levels
        )
        self.encoder = HourglassEncoder(config, channels)
        self.decoder = HourglassDecoder(config, channels)

    def forward(self, image: Tensor, descriptor: Tensor) -> Tensor:
        """Return the features that the flow is read from."""
        return self.decoder(self.encoder(image, descriptor), descriptor)


class WarpingNet(nn.Module):
    """Predicts where every pixel of the edited face comes from."""

    def __init__(self, config: DNetConfig) -> None:
        super().__init__()
        self.hourglass = Hourglass(config)
        channels = self.hourglass.decoder.out_channels
        self.flow_out = nn.Sequential(
            LayerNorm2d(channels),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
            nn.Conv2d(channels, 2, 7, padding=3),
        )

    def forward(self, image: Tensor, descriptor: Tensor) -> Tensor:
        """Return the flow ``[B, 2, h, w]`` in pixels of its own grid."""
        return self.flow_out(self.hourglass(image, descriptor))


class AdaINResBlock(nn.Module):
    """3x3 convolution, AdaIN, leaky, 3x3 convolution, AdaIN; the sum is not activated.

    Upstream behaviour kept for parity unless ``chained``: its second convolution reads the block's
    input, so the result of the first is lost. The first pair is then stored but neither computed
    nor trained.
    """

    def __init__(self, channels: int, descriptor: int, hidden: int, chained: bool) -> None:
        super().__init__()
        self.chained = chained
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = AdaIN(channels, descriptor, hidden)
        self.norm2 = AdaIN(channels, descriptor, hidden)
        for unused in () if chained else (self.conv1, self.norm1):
            unused.requires_grad_(False)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Refine ``[B, C, H, W]``."""
        out = leaky_relu(self.norm1(self.conv1(x), descriptor)) if self.chained else x
        return x + self.norm2(self.conv2(out), descriptor)


class EditingEncoder(nn.Module):
    """Plain encoder of the picture and its warp."""

    def __init__(self, channels: list[int], spectral_norm: bool) -> None:
        super().__init__()
        self.first = ConvBlock(6, channels[0], kernel_size=7, spectral_norm=spectral_norm)
        self.num_levels = len(channels) - 1
        for level in range(self.num_levels):
            block = ConvBlock(
                channels[level],
                channels[level + 1],
                spectral_norm=spectral_norm,
                resample="down",
            )
            self.add_module(f"down{level}", block)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of every size, full size first."""
        features = [self.first(x)]
        for level in range(self.num_levels):
            features.append(self.get_submodule(f"down{level}")(features[-1]))
        return features


class EditingNet(nn.Module):
    """Repaints the warped face."""

    def __init__(self, config: DNetConfig) -> None:
        super().__init__()
        channels = level_channels(
            config.editing_base_channels, config.editing_max_channels, config.editing_levels
        )
        self.encoder = EditingEncoder(channels, config.spectral_norm)
        self.decoder = ConditionedDecoder(
            channels[-1],
            channels[:-1],
            make_block=lambda width: AdaINResBlock(
                width, config.descriptor_channels, config.adain_channels, config.chained_blocks
            ),
            num_blocks=config.editing_blocks,
            out_channels=3,
            activation=nn.Tanh(),
            spectral_norm=config.spectral_norm,
        )

    def forward(self, image: Tensor, warped: Tensor, descriptor: Tensor) -> Tensor:
        """Return the edited picture ``[B, 3, H, W]`` in [-1, 1]."""
        *skips, deepest = self.encoder(torch.cat([image, warped], dim=1))
        return self.decoder(deepest, skips, descriptor)


class DNet(nn.Module):
    """Gives a face the expression and pose of a window of 3DMM coefficients."""

    def __init__(self, config: DNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or DNetConfig()
        self.mapping_net = MappingNet(self.config)
        self.warpping_net = WarpingNet(self.config)  # the official file spells it so
        self.editing_net = EditingNet(self.config)

    def forward(self, image: Tensor, coefficients: Tensor, warp_only: bool = False) -> DNetOutput:
        """Edit faces.

        Args:
            image: ``[B, 3, H, W]``, RGB in [-1, 1]; sizes are multiples of ``size_divisor``.
            coefficients: ``[B, 73, T]``, window centred on the frame; the released weights
                expect 26 or 27 frames.
            warp_only: skip the editing network (first training stage, paper C.1.3).

        Raises:
            ConfigError: the picture's size or the window's length does not fit.
        """
        divisor = self.config.size_divisor
        if image.shape[-1] % divisor or image.shape[-2] % divisor:
            size = "x".join(str(n) for n in image.shape[-2:])
            raise ConfigError(f"D-Net: picture of {size} px, expected multiples of {divisor}")
        descriptor = self.mapping_net(coefficients)
        flow_px = self.warpping_net(image, descriptor)
        # Positions need more than the 8 bits of bfloat16's mantissa.
        with torch.autocast(image.device.type, enabled=False):
            warped = warp(image.float(), flow_to_deformation(flow_px.float())).to(image.dtype)
        edited = None if warp_only else self.editing_net(image, warped, descriptor)
        return DNetOutput(descriptor, flow_px, warped, edited)
