"""GPEN-BFR generator (arXiv 2105.06070): an encoder around a StyleGAN2 generator.

The encoder's deepest feature gives the style; every encoder feature also takes the place of
StyleGAN2's noise, concatenated instead of added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from third_party.gpen.layers import (
    BiasActivation,
    Blur,
    EqualConv2d,
    EqualLinear,
    EqualModulatedConv2d,
    Upsample,
)
from third_party.stylegan2 import PixelNorm, StyleGAN2Config
from third_party.windows import Window


@dataclass(frozen=True)
class GPENConfig(StyleGAN2Config):
    """Shape of the network; the defaults are those of ``GPEN-BFR-512.pth``.

    Attributes:
        mlp_lr_multiplier: the factor at which the mapping network's weights are stored.
    """

    mlp_lr_multiplier: float = 0.01


class NoiseConcat(nn.Module):
    """Append a scaled encoder feature to the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """Return ``[B, C + F, H, W]`` of ``[B, C, H, W]`` and ``[B, F, H, W]``."""
        return torch.cat([x, (self.weight * feature).to(x.dtype)], dim=1)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, encoder feature, bias, activation; doubles the channels."""

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, upsample: bool = False
    ) -> None:
        super().__init__()
        self.conv = EqualModulatedConv2d(in_channels, out_channels, 3, style_dim, upsample=upsample)
        self.noise = NoiseConcat()
        self.activate = BiasActivation(2 * out_channels)

    def forward(self, x: Tensor, style: Tensor, feature: Tensor) -> Tensor:
        """Run the layer; ``feature`` ``[B, out_channels, H, W]`` has the result's size."""
        return self.activate(self.noise(self.conv(x, style), feature))


class ToRGB(nn.Module):
    """Read colours from features and add them to the doubled picture of the level below."""

    def __init__(self, in_channels: int, style_dim: int, upsample: bool = True) -> None:
        super().__init__()
        self.conv = EqualModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample() if upsample else None

    def forward(self, x: Tensor, style: Tensor, picture: Tensor | None = None) -> Tensor:
        """Return ``[B, 3, H, W]``; ``picture`` ``[B, 3, H, W]`` is what stands so far."""
        out = self.conv(x, style) + self.bias
        return out if picture is None else out + picture

    def enlarge(self, picture: Tensor) -> Tensor:
        """Double the picture of the level below."""
        assert self.upsample is not None
        doubled: Tensor = self.upsample(picture)
        return doubled


class StyleGAN2Generator(nn.Module):
    """StyleGAN2 with encoder features in the place of noise."""

    def __init__(self, config: GPENConfig) -> None:
        super().__init__()
        dim = config.style_dim
        mapping = (
            EqualLinear(dim, dim, lr_multiplier=config.mlp_lr_multiplier, activate=True)
            for _ in range(config.num_mlp_layers)
        )
        self.style = nn.Sequential(PixelNorm(), *mapping)

        widths = config.level_channels()
        self.input = nn.ParameterDict({"input": torch.randn(1, widths[0], 4, 4)})
        self.conv1 = StyledConv(widths[0], widths[0], dim)
        self.to_rgb1 = ToRGB(2 * widths[0], dim, upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for below, width in itertools.pairwise(widths):
            self.convs.append(StyledConv(2 * below, width, dim, upsample=True))
            self.convs.append(StyledConv(2 * width, width, dim))
            self.to_rgbs.append(ToRGB(2 * width, dim))

    def forward(self, z: Tensor, features: list[Tensor], window: Window) -> Tensor:
        """Synthesise a picture or a part of ``z`` ``[B, D]`` and features at 4, ..., size px."""
        style = self.style(z)
        x = self.input["input"].expand(z.shape[0], -1, -1, -1)
        x = self.conv1(x, style, features[0])
        picture = self.to_rgb1(x, style)
        levels = zip(self.convs[::2], self.convs[1::2], self.to_rgbs, features[1:], strict=True)
        for level, (conv_up, conv, to_rgb, feature) in enumerate(levels):
            shrink = window.size_px // (8 << level)
            x, picture = (window.enter(part, 2 * shrink) for part in (x, picture))
            x = conv_up(x, style, window.cut_doubled(feature, shrink))
            x = conv(window.trim(x, shrink), style, window.cut(feature, shrink))
            assert isinstance(to_rgb, ToRGB)
            picture = to_rgb(x, style, window.trim(to_rgb.enlarge(picture), shrink))
        return window.leave(picture)


class GPEN(nn.Module):
    """Restore an aligned face."""

    def __init__(self, config: GPENConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GPENConfig()
        widths = config.level_channels()
        self.generator = StyleGAN2Generator(config)
        # Checkpoint names count from the full size down: ecd0 keeps it, every other one halves.
        stem = nn.Sequential(EqualConv2d(3, widths[-1], 1), BiasActivation(widths[-1]))
        self.ecd0 = nn.Sequential(stem)
        self.num_stages = len(widths)
        for index, (width, below) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True), 1):
            halve = nn.Sequential(
                Blur(padding=2), EqualConv2d(width, below, 3, stride=2), BiasActivation(below)
            )
            self.add_module(f"ecd{index}", nn.Sequential(halve))
        self.final_linear = nn.Sequential(
            EqualLinear(widths[0] * 16, config.style_dim, activate=True)
        )

    def _encode(self, x: Tensor) -> Iterator[Tensor]:
        for index in range(self.num_stages):
            x = self.get_submodule(f"ecd{index}")(x)
            yield x

    def forward(self, faces: Tensor, window: Window | None = None) -> Tensor:
        """Restore faces.

        Args:
            faces: RGB ``[B, 3, size, size]`` in [-1, 1].
            window: the part that is wanted; the whole if not given.

        Returns:
            RGB ``[B, 3, size, size]``, or of the window, about [-1, 1], not clamped.
        """
        window = window or Window.whole(self.config.size_px)
        features = list(self._encode(faces))[::-1]
        return self.generator(self.final_linear(features[0].flatten(1)), features, window)
