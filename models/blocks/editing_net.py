"""D-Net's editing network: a U-Net under AdaIN that repaints the warped face (paper C.1.1).

Legend: ``B`` batch, ``C`` channels, ``H, W`` picture size, ``D`` descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.blocks.layers import AdaIN, ConvBlock, leaky_relu
from models.blocks.unet import ConditionedDecoder


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

    def __init__(self, channels: Sequence[int], spectral_norm: bool) -> None:
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
    """Repaints the warped face.

    Args:
        channels: encoder widths, full size first; one halving between neighbours.
        num_blocks: residual blocks per level.
        descriptor: ``D``.
        hidden: width inside each AdaIN.
        chained: see ``AdaINResBlock``.
        spectral_norm: on the convolutions outside the residual blocks.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        num_blocks: int,
        descriptor: int,
        hidden: int,
        chained: bool,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.encoder = EditingEncoder(channels, spectral_norm)
        self.decoder = ConditionedDecoder(
            channels[-1],
            channels[:-1],
            make_block=lambda width: AdaINResBlock(width, descriptor, hidden, chained),
            num_blocks=num_blocks,
            out_channels=3,
            activation=nn.Tanh(),
            spectral_norm=spectral_norm,
        )

    def forward(self, image: Tensor, warped: Tensor, descriptor: Tensor) -> Tensor:
        """Return the edited picture ``[B, 3, H, W]`` in [-1, 1]."""
        *skips, deepest = self.encoder(torch.cat([image, warped], dim=1))
        return self.decoder(deepest, skips, descriptor)
