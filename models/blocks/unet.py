"""The decoder that D-Net's editing network and L-Net have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from models.blocks.layers import ConvBlock, Norm, OutputBlock

BlockFactory = Callable[[int], nn.Module]
"""Builds a residual block for so many channels; called as ``block(x, descriptor)``."""


class ConditionedStack(nn.Module):
    """Residual blocks of one width, all given the same descriptor."""

    def __init__(self, make_block: BlockFactory, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.names = [f"res{index}" for index in range(num_blocks)]
        for name in self.names:
            self.add_module(name, make_block(channels))

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` under ``descriptor`` ``[B, D]`` to the same shape."""
        for name in self.names:
            x = self.get_submodule(name)(x, descriptor)
        return x


class ConditionedDecoder(nn.Module):
    """U-Net decoder: per level residual blocks, doubling, plus the skip through its own block.

    Args:
        in_channels: channels of the deepest features.
        channels: channels of the skips, full resolution first; one level per skip.
        make_block: the residual block.
        num_blocks: residual blocks per level.
        out_channels: channels of the picture.
        activation: bounds the picture.
        faces_per_skip: faces whose features each skip concatenates.
        norm, spectral_norm: see ``ConvBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        make_block: BlockFactory,
        num_blocks: int,
        out_channels: int,
        activation: nn.Module,
        faces_per_skip: int = 1,
        norm: Norm = "layer",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_levels = len(channels)
        for level in reversed(range(self.num_levels)):
            width = channels[level]
            up = ConvBlock(
                in_channels, width, norm=norm, spectral_norm=spectral_norm, resample="up"
            )
            jump = ConvBlock(faces_per_skip * width, width, norm=norm, spectral_norm=spectral_norm)
            self.add_module(f"up{level}", up)
            self.add_module(f"res{level}", ConditionedStack(make_block, in_channels, num_blocks))
            self.add_module(f"jump{level}", jump)
            in_channels = width
        self.final = OutputBlock(in_channels, out_channels, activation, spectral_norm)

    def forward(self, x: Tensor, skips: Sequence[Tensor], descriptor: Tensor) -> Tensor:
        """Decode the deepest features.

        Args:
            x: ``[B, C, H / 2**L, W / 2**L]`` for ``L`` levels.
            skips: encoder features, full resolution first.
            descriptor: ``[B, D]``.

        Returns:
            The picture ``[B, out_channels, H, W]``.
        """
        for level in reversed(range(self.num_levels)):
            x = self.get_submodule(f"res{level}")(x, descriptor)
            x = self.get_submodule(f"up{level}")(x)
            x = x + self.get_submodule(f"jump{level}")(skips[level])
        return self.final(x)
