"""E-Net: enlarges L-Net's face four times and keeps the identity (paper 3.3 and C.3).

L-Net runs inside as ``low_res``; an encoder reads a style vector from the reference, and
StyleGAN2-like layers enlarge the small face under that style.

Legend: ``B`` batch, ``T`` frames, ``S`` face size (384 px in the paper), ``s`` L-Net's (96 px).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.lower_half import edited_rows, join_halves
from models.blocks.time_axis import flatten_frames, flatten_mel, restore_frames
from models.checks import require, require_positive
from models.lnet import LNet, LNetConfig
from retalking.errors import ConfigError
from third_party.doubling import double_bilinearly
from third_party.stylegan2 import LEAKY_SLOPE, ResBlock, StyleConv, ToRGB
from third_party.windows import Window

Noise = Literal["zero", "random"] | Tensor | Sequence[Tensor]
"""What the style layers add: nothing, draws, draws from a seed per face, or a map per layer."""

_PATCH = 4  # pixels of L-Net's face
_ROOM_ABOVE = 16
"""Rows above the painted half that are made nevertheless: resampling may look at them."""


@dataclass(frozen=True)
class ENetConfig:
    """Widths and sizes of E-Net; the defaults are those of the released ENet.pth.

    Attributes:
        low_res_size_px: face size of the L-Net inside.
        upsample_channels: width of each stage; every stage doubles the size.
        style_channels: size of the style vector.
        encoder_size_px: the reference is resized to this before encoding.
        encoder_channels: width at full size, then after every halving.
        padding_px: reflected border of the small face, cut off again after enlarging.
        reference_detail: whether the fine detail of the face's upper half and the reference's lower
            half is added where L-Net left them as they were; released and paper: no.
        keeps_colour: whether the large face has L-Net's colours, in the mean over squares of 4 of
            its pixels; released and paper: no.
        lnet: the network inside.
    """

    low_res_size_px: int = 96
    upsample_channels: tuple[int, ...] = (256, 128)
    style_channels: int = 512
    encoder_size_px: int = 256
    encoder_channels: tuple[int, ...] = (256, 256, 512, 512, 512, 512, 512)
    padding_px: int = 2
    reference_detail: bool = False
    keeps_colour: bool = False
    lnet: LNetConfig = field(default_factory=LNetConfig)

    def __post_init__(self) -> None:
        require_positive(self, "low_res_size_px", "style_channels", "encoder_size_px")
        for name in ("upsample_channels", "encoder_channels"):
            widths = getattr(self, name)
            fits = len(widths) > 0 and all(isinstance(n, int) and n > 0 for n in widths)
            require(fits, self, name, "at least one positive integer")
        divisor = 2 ** (len(self.encoder_channels) - 1)
        multiple = f"a multiple of {divisor} (encoder_channels halves so often)"
        require(self.encoder_size_px % divisor == 0, self, "encoder_size_px", multiple)
        multiple = f"a multiple of {self.lnet.size_divisor} (lnet.levels)"
        fits = self.low_res_size_px % self.lnet.size_divisor == 0
        require(fits, self, "low_res_size_px", multiple)
        fits = 0 <= self.padding_px < self.low_res_size_px
        require(fits, self, "padding_px", "a border smaller than the face")

    @property
    def scale(self) -> int:
        """Enlargement of L-Net's face."""
        return int(2 ** len(self.upsample_channels))

    @property
    def size_px(self) -> int:
        """Size of the output face."""
        return self.low_res_size_px * self.scale


class ENetOutput(NamedTuple):
    """What E-Net computes, in this order.

    Attributes:
        face: ``[B, 3, S, S]`` or ``[B, 3, T, S, S]``, unbounded; clamp to [0, 1] for a picture.
        low_res: L-Net's face, ``[B, 3, s, s]`` or ``[B, 3, T, s, s]`` in [0, 1].
    """

    face: Tensor
    low_res: Tensor


class ENet(nn.Module):
    """Identity-aware enhancement network."""

    BLOCKS: ClassVar = (ResBlock, StyleConv, ToRGB)
    """Parts that training may compute twice to save memory; the L-Net inside is not trained."""

    def __init__(self, config: ENetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ENetConfig()
        self.low_res = LNet(config.lnet)

        widths = config.encoder_channels
        self.conv_body_first = nn.Conv2d(3, widths[0], 1)
        self.conv_body_down = nn.ModuleList(
            ResBlock(wide, narrow, scale=0.5) for wide, narrow in itertools.pairwise(widths)
        )
        self.final_conv = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        rest_px = config.encoder_size_px // 2 ** (len(widths) - 1)
        self.final_linear = nn.Linear(widths[-1] * rest_px**2, config.style_channels)

        style_convs: list[nn.Module] = []
        to_rgbs: list[nn.Module] = []
        in_channels = 3
        for channels in config.upsample_channels:
            style_convs.append(
                StyleConv(in_channels, channels, config.style_channels, upsample=True)
            )
            style_convs.append(StyleConv(channels, channels, config.style_channels))
            to_rgbs.append(ToRGB(channels, config.style_channels))
            in_channels = channels
        self.style_convs = nn.ModuleList(style_convs)
        self.to_rgbs = nn.ModuleList(to_rgbs)
        if config.reference_detail:
            self.detail_gate = nn.Sequential(
                nn.Conv2d(6, 16, 3, padding=1),
                nn.LeakyReLU(LEAKY_SLOPE),
                nn.Conv2d(16, 1, 3, padding=1),
            )

    def encode_style(self, reference: Tensor) -> Tensor:
        """Read the style ``[B, D]`` of reference faces ``[B, 3, S, S]``."""
        size = (self.config.encoder_size_px,) * 2
        x = F.interpolate(reference, size, mode="bilinear", align_corners=False)
        x = F.leaky_relu(self.conv_body_first(x), LEAKY_SLOPE)
        for block in self.conv_body_down:
            x = block(x)
        x = F.leaky_relu(self.final_conv(x), LEAKY_SLOPE)
        return self.final_linear(x.flatten(1))

    def enlarge(
        self,
        low_res: Tensor,
        style: Tensor,
        noise: Noise | None = None,
        painted_only: bool = False,
    ) -> Tensor:
        """Enlarge small faces under a style.

        Args:
            low_res: ``[B, 3, s, s]`` in [0, 1].
            style: ``[B, D]``.
            noise: see ``forward``.
            painted_only: leave out rows above those that L-Net paints, but for a few.

        Returns:
            ``[B, 3, S, S]``, or fewer rows.
        """
        window, shrink = self._window(painted_only), self.config.scale
        x = F.pad(low_res, (self.config.padding_px,) * 4, mode="reflect")
        maps = self._noise_maps(noise, x)
        x = skip = window.enter(x, shrink)
        convs = list(zip(self.style_convs, maps, strict=True))
        for to_rgb, grow, refine in zip(self.to_rgbs, convs[::2], convs[1::2], strict=True):
            shrink //= 2
            x = window.trim(grow[0](x, style, grow[1]), shrink)
            x = refine[0](x, style, refine[1])
            skip = to_rgb(x, style) + window.trim(double_bilinearly(skip), shrink)
        return window.leave(skip)

    def _window(self, painted_only: bool) -> Window:
        size_px, scale = self.config.size_px, self.config.scale
        border = self.config.padding_px * scale
        above = edited_rows(size_px).start - _ROOM_ABOVE if painted_only else 0
        top, far = border + max(above // scale * scale, 0), border + size_px
        num_doublings = len(self.config.upsample_channels) if painted_only else 0
        return Window(top, border, far, far, far + border, num_doublings)

    def add_detail(self, large: Tensor, low_res: Tensor, face: Tensor, reference: Tensor) -> Tensor:
        """Add what a small face cannot hold, from pictures of the same pose.

        Args:
            large: enlarged faces ``[B, 3, S, S]``.
            low_res: L-Net's faces ``[B, 3, s, s]``.
            face: current faces ``[B, 3, S, S]``; their lower half is not read.
            reference: ``[B, 3, S, S]``.

        Returns:
            ``[B, 3, S, S]``.
        """
        known = join_halves(face, reference)
        small = F.interpolate(known, low_res.shape[2:], mode="bilinear", align_corners=False)
        gate = torch.sigmoid(self.detail_gate(torch.cat([low_res, small], dim=1)))
        coarse, share = (
            F.interpolate(plane, known.shape[2:], mode="bilinear", align_corners=False)
            for plane in (small, gate)
        )
        return large + share * (known - coarse)

    def keep_colour(self, large: Tensor, low_res: Tensor) -> Tensor:
        """Give enlarged faces ``[B, 3, S, S]`` the colours of L-Net's ``[B, 3, s, s]``."""
        tint = F.avg_pool2d(low_res, _PATCH) - F.avg_pool2d(large, _PATCH * self.config.scale)
        return large + F.interpolate(tint, large.shape[2:], mode="bicubic", align_corners=False)

    def _noise_maps(self, noise: Noise | None, x: Tensor) -> list[Tensor | None]:
        if noise is None:
            noise = "random" if self.training else "zero"
        num_maps = len(self.style_convs)
        if isinstance(noise, str) and noise == "random":
            noise = torch.randint(2**62, (len(x),))
        if isinstance(noise, Tensor):
            return list(self._seeded_maps(noise.tolist(), x))
        if noise == "zero":
            return [None] * num_maps
        if isinstance(noise, str) or len(noise) != num_maps:
            got = noise if isinstance(noise, str) else f"{len(noise)} tensors"
            raise ConfigError(
                f"E-Net noise: got {got}, expected 'zero', 'random' or {num_maps} tensors"
            )
        return list(noise)

    def _seeded_maps(self, seeds: list[int], x: Tensor) -> list[Tensor]:
        height, width = x.shape[2:]
        scales = [2 ** (index // 2 + 1) for index in range(len(self.style_convs))]
        maps = [x.new_empty(len(seeds), 1, height * k, width * k) for k in scales]
        for face, seed in enumerate(seeds):
            generator = torch.Generator(x.device).manual_seed(seed)
            for noise_map in maps:
                noise_map[face].normal_(generator=generator)
        return maps

    def forward(
        self,
        mel: Tensor,
        faces: Tensor,
        reference: Tensor,
        noise: Noise | None = None,
        small: Tensor | None = None,
        painted_only: bool = False,
    ) -> ENetOutput:
        """Synthesise and enlarge faces; the released weights want BGR.

        Args:
            mel: ``[B, 1, 80, 16]`` in [-4, 4], or ``[B, T, 1, 80, 16]``.
            faces: ``[B, 3 or 6, S, S]`` in [0, 1], or ``[B, 3 or 6, T, S, S]``: the current face
                with its lower half zero; further channels (upstream repeats the reference there)
                are not read.
            reference: ``[B, 3, S, S]`` in [0, 1], or ``[B, 3, T, S, S]``.
            noise: ``"zero"``; ``"random"``, drawn anew at every call as upstream does, which
                makes video flicker; int64 ``[B]``, a seed per face, so that its noise does not
                depend on the rest of the batch; or one tensor ``[B or 1, 1, h, w]`` per style
                layer. The default is ``"random"`` in training mode, else ``"zero"``.
            small: what the L-Net inside sees, ``[B, 6, s, s]`` or ``[B, 6, T, s, s]``; made from
                ``faces`` and ``reference`` if not given. In training it is degraded (paper C.3.3).
            painted_only: whether rows above those that L-Net paints may be as in ``faces``. Only
                without noise; of no effect with ``reference_detail`` or ``keeps_colour``.

        Raises:
            ConfigError: a face size or the noise does not fit.
        """
        size_px = self.config.size_px
        for name, picture in (("faces", faces), ("reference", reference)):
            if picture.shape[-2:] != (size_px, size_px):
                size = "x".join(str(n) for n in picture.shape[-2:])
                raise ConfigError(f"E-Net: {name} of {size} px, expected {size_px}x{size_px}")
        if faces.ndim == 5:
            frames = (flatten_mel(mel), flatten_frames(faces), flatten_frames(reference))
            seen = None if small is None else flatten_frames(small)
            outputs = self(*frames, noise, seen, painted_only)
            return ENetOutput(*(restore_frames(out, faces.shape[2]) for out in outputs))
        if small is None:
            # Upstream behaviour kept for parity: no antialiasing, so 12 of 16 pixels are not read.
            small = F.interpolate(
                torch.cat([faces[:, :3], reference], dim=1),
                (self.config.low_res_size_px,) * 2,
                mode="bilinear",
                align_corners=False,
            )
        low_res = self.low_res(mel, small)
        if self.config.reference_detail or self.config.keeps_colour:
            painted_only = False
        large = self.enlarge(low_res, self.encode_style(reference), noise, painted_only)
        if painted_only:
            large = torch.cat([faces[:, :3, : size_px - large.shape[2]], large], dim=2)
        if self.config.reference_detail:
            large = self.add_detail(large, low_res, faces[:, :3], reference)
        if self.config.keeps_colour:
            large = self.keep_colour(large, low_res)
        return ENetOutput(large, low_res)
