"""GFPGAN v1 in its "clean" form (arXiv 2101.04061), as released in version 1.3.

A U-Net reads a degraded face and yields one latent per style layer plus, at each resolution, a
scale and a shift that modulate half of the channels of a StyleGAN2 decoder.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from third_party.doubling import double_bilinearly
from third_party.stylegan2 import (
    LEAKY_SLOPE,
    PixelNorm,
    ResBlock,
    StyleConv,
    StyleGAN2Config,
    ToRGB,
)
from third_party.windows import Window


@dataclass(frozen=True)
class GFPGANConfig(StyleGAN2Config):
    """Shape of the network; the defaults are those of ``GFPGANv1.3.pth``.

    The U-Net has half of the decoder's channels. The checkpoint holds the mapping network, but
    restoration bypasses it: the U-Net predicts mapped latents.
    """

    @property
    def num_latents(self) -> int:
        """Latents of the decoder: two per resolution from 4 px on."""
        return 2 * len(self.level_channels())


class StyleGAN2Decoder(nn.Module):
    """StyleGAN2 synthesis network whose features the U-Net modulates on the way."""

    def __init__(self, config: GFPGANConfig) -> None:
        super().__init__()
        dim = config.style_dim
        mapping: list[nn.Module] = [PixelNorm()]
        for _ in range(config.num_mlp_layers):
            mapping += [nn.Linear(dim, dim), nn.LeakyReLU(LEAKY_SLOPE)]
        self.style_mlp = nn.Sequential(*mapping)

        self.size_px = config.size_px
        widths = config.level_channels()
        self.constant_input = nn.ParameterDict({"weight": torch.randn(1, widths[0], 4, 4)})
        self.style_conv1 = StyleConv(widths[0], widths[0], dim)
        self.to_rgb1 = ToRGB(widths[0], dim)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        sides_px = [4]  # of the noise maps
        for level, (below, width) in enumerate(itertools.pairwise(widths)):
            self.style_convs.append(StyleConv(below, width, dim, upsample=True))
            self.style_convs.append(StyleConv(width, width, dim))
            self.to_rgbs.append(ToRGB(width, dim))
            sides_px += [8 << level] * 2
        self.noises = nn.Module()
        for index, side in enumerate(sides_px):
            self.noises.register_buffer(f"noise{index}", torch.randn(1, 1, side, side))

    def _noises(self, batch: int, generator: torch.Generator | None) -> Iterator[Tensor]:
        for stored in self.noises.buffers():
            if generator is None:
                yield stored
            else:
                shape = (batch, *stored.shape[1:])
                drawn = torch.randn(shape, generator=generator, device=generator.device)
                yield drawn.to(stored)

    def forward(
        self,
        latents: Tensor,
        conditions: list[tuple[Tensor, Tensor]],
        generator: torch.Generator | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """Synthesise a picture.

        Args:
            latents: ``[B, num_latents, D]``.
            conditions: scale and shift ``[B, C/2, 2^k, 2^k]`` for k = 3, 4, ...
            generator: source of fresh noise; ``None`` uses the stored noise maps.
            window: the part that is computed; conditions are of it. The whole if not given.

        Returns:
            ``[B, 3, size, size]``, or of the window, about [-1, 1], not clamped.
        """
        window = window or Window.whole(self.size_px)
        noises = self._noises(latents.shape[0], generator)
        x = self.constant_input["weight"].expand(latents.shape[0], -1, -1, -1)
        x = self.style_conv1(x, latents[:, 0], next(noises))
        picture = self.to_rgb1(x, latents[:, 1])
        levels = zip(
            self.style_convs[::2], self.style_convs[1::2], self.to_rgbs, conditions, strict=True
        )
        for level, (conv_up, conv, to_rgb, (scale, shift)) in enumerate(levels):
            first = 2 * level + 1  # this latent serves the rgb layer below and conv_up here
            shrink = self.size_px // (8 << level)
            x, picture = (window.enter(part, 2 * shrink) for part in (x, picture))
            x = conv_up(x, latents[:, first], window.cut_doubled(next(noises), shrink))
            kept, modulated = window.trim(x, shrink).chunk(2, dim=1)
            x = torch.cat([kept, modulated * scale + shift], dim=1)
            x = conv(x, latents[:, first + 1], window.cut(next(noises), shrink))
            picture = window.trim(double_bilinearly(picture), shrink)
            picture = to_rgb(x, latents[:, first + 2]) + picture
        return window.leave(picture)


class GFPGAN(nn.Module):
    """Restore an aligned face (FFHQ template)."""

    def __init__(self, config: GFPGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GFPGANConfig()
        widths = [channels // 2 for channels in config.level_channels()]
        steps = list(itertools.pairwise(widths))
        self.conv_body_first = nn.Conv2d(3, widths[-1], 1)
        self.conv_body_down = nn.ModuleList(
            ResBlock(width, below, scale=0.5) for below, width in reversed(steps)
        )
        self.final_conv = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        self.conv_body_up = nn.ModuleList(ResBlock(below, width, scale=2) for below, width in steps)
        # Pictures of the U-Net for the paper's pyramid loss: in the checkpoint, unused to restore.
        self.toRGB = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths[1:])
        self.final_linear = nn.Linear(widths[0] * 16, config.num_latents * config.style_dim)
        self.stylegan_decoder = StyleGAN2Decoder(config)
        self.condition_scale = nn.ModuleList(_condition(width) for width in widths[1:])
        self.condition_shift = nn.ModuleList(_condition(width) for width in widths[1:])

    def forward(
        self,
        faces: Tensor,
        generator: torch.Generator | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """Restore faces.

        Args:
            faces: RGB ``[B, 3, size, size]`` in [-1, 1].
            generator: source of fresh noise, as upstream's default draws it at every call;
                ``None`` takes the stored noise, so equal input gives equal output.
            window: the part that is wanted; the whole if not given.

        Returns:
            RGB ``[B, 3, size, size]``, or of the window, about [-1, 1], not clamped.
        """
        window = window or Window.whole(self.config.size_px)
        x = F.leaky_relu(self.conv_body_first(faces), LEAKY_SLOPE)
        skips = []
        for block in self.conv_body_down:
            x = block(x)
            skips.append(x)
        x = F.leaky_relu(self.final_conv(x), LEAKY_SLOPE)
        latents = self.final_linear(x.flatten(1))
        latents = latents.view(-1, self.config.num_latents, self.config.style_dim)

        conditions = []
        shrink = self.config.size_px // 4
        for block, to_scale, to_shift in zip(
            self.conv_body_up, self.condition_scale, self.condition_shift, strict=True
        ):
            x = block(window.enter(x + window.cut(skips.pop(), shrink), shrink))
            shrink //= 2
            x = window.trim(x, shrink)
            conditions.append((to_scale(x), to_shift(x)))
        return self.stylegan_decoder(latents, conditions, generator, window)


def _condition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(LEAKY_SLOPE),
        nn.Conv2d(channels, channels, 3, padding=1),
    )
