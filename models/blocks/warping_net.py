"""D-Net's warping network: an hourglass under AdaIN that predicts a flow (paper C.1.1).

Legend: ``B`` batch, ``C`` channels, ``H, W`` size, ``h, w`` the flow's size, ``D`` descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.blocks.layers import LEAKY_SLOPE, AdaIN, LayerNorm2d, leaky_relu


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

    def __init__(self, channels: Sequence[int], descriptor: int, hidden: int) -> None:
        super().__init__()
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

    def __init__(
        self, channels: Sequence[int], num_up_levels: int, descriptor: int, hidden: int
    ) -> None:
        super().__init__()
        num_down_levels = len(channels) - 1
        self.levels = list(reversed(range(num_down_levels - num_up_levels, num_down_levels)))
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

    def __init__(
        self, channels: Sequence[int], num_up_levels: int, descriptor: int, hidden: int
    ) -> None:
        super().__init__()
        self.encoder = HourglassEncoder(channels, descriptor, hidden)
        self.decoder = HourglassDecoder(channels, num_up_levels, descriptor, hidden)

    def forward(self, image: Tensor, descriptor: Tensor) -> Tensor:
        """Return the features that the flow is read from."""
        return self.decoder(self.encoder(image, descriptor), descriptor)


class WarpingNet(nn.Module):
    """Predicts where every pixel of the edited face comes from.

    Args:
        channels: encoder widths, full size first; one halving between neighbours.
        num_up_levels: doublings of the decoder.
        descriptor: ``D``.
        hidden: width inside each AdaIN.
    """

    def __init__(
        self, channels: Sequence[int], num_up_levels: int, descriptor: int, hidden: int
    ) -> None:
        super().__init__()
        self.hourglass = Hourglass(channels, num_up_levels, descriptor, hidden)
        width = self.hourglass.decoder.out_channels
        self.flow_out = nn.Sequential(
            LayerNorm2d(width),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
            nn.Conv2d(width, 2, 7, padding=3),
        )

    def forward(self, image: Tensor, descriptor: Tensor) -> Tensor:
        """Return the flow ``[B, 2, h, w]`` in pixels of its own grid."""
        return self.flow_out(self.hourglass(image, descriptor))
