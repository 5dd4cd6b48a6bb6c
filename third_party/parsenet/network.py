"""ParseNet of PSFR-GAN (arXiv 2009.08709): residual U-shape without skips, reflect padding."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from third_party.doubling import convolve_doubled
from third_party.windows import Window

LEAKY_SLOPE = 0.2


class FacePart(enum.IntEnum):
    """Class indices, the order of CelebAMask-HQ; left and right as the person has them."""

    BACKGROUND = 0
    SKIN = 1
    NOSE = 2
    EYEGLASSES = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    LEFT_BROW = 6
    RIGHT_BROW = 7
    LEFT_EAR = 8
    RIGHT_EAR = 9
    MOUTH = 10
    UPPER_LIP = 11
    LOWER_LIP = 12
    HAIR = 13
    HAT = 14
    EARRING = 15
    NECKLACE = 16
    NECK = 17
    CLOTH = 18


@dataclass(frozen=True)
class ParseNetConfig:
    """Shape of the network; the defaults are those of ``ParseNet-latest.pth``.

    Attributes:
        base_channels: channels at full size; they double at every halving ...
        max_channels: ... up to this.
        num_halvings: resolution steps (512 to 32 px).
        body_depth: residual blocks at the lowest resolution.
        num_classes: parts that are told apart.
    """

    base_channels: int = 64
    max_channels: int = 256
    num_halvings: int = 4
    body_depth: int = 10
    num_classes: int = len(FacePart)

    def level_channels(self) -> list[int]:
        """Channels at full size, half, quarter, ..."""
        return [
            min(self.base_channels << k, self.max_channels) for k in range(self.num_halvings + 1)
        ]


class _Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ConvLayer(nn.Module):
    """3x3 convolution with reflect padding; with a norm it has no bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: float = 1,
        norm: bool = False,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.upsample = scale == 2
        self.activate = activate
        self.conv2d = nn.Conv2d(
            in_channels,
            out_channels,
            3,
            stride=2 if scale == 0.5 else 1,
            padding=1,
            padding_mode="reflect",
            bias=not norm,
        )
        self.norm = _Norm(out_channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Double by nearest neighbour if asked, convolve (maybe halving), norm, leaky ReLU."""
        if self.upsample:
            x = convolve_doubled(x, self.conv2d.weight, self.conv2d.bias, reflect=True)
        else:
            x = self.conv2d(x)
        x = self.norm(x)
        return F.leaky_relu(x, LEAKY_SLOPE) if self.activate else x


class ResidualBlock(nn.Module):
    """Two normed convolutions and a shortcut, plain or resizing (``scale`` 0.5 or 2)."""

    def __init__(self, in_channels: int, out_channels: int, scale: float = 1) -> None:
        super().__init__()
        # A halving block strides in its second convolution, a doubling one grows before its first.
        self.shortcut_func = (
            nn.Identity() if scale == 1 else ConvLayer(in_channels, out_channels, scale=scale)
        )
        self.conv1 = ConvLayer(
            in_channels, out_channels, scale=max(scale, 1), norm=True, activate=True
        )
        self.conv2 = ConvLayer(out_channels, out_channels, scale=min(scale, 1), norm=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, O, H * scale, W * scale]``."""
        return self.shortcut_func(x) + self.conv2(self.conv1(x))


class ParseNet(nn.Module):
    """Say for each pixel of an aligned face which part it belongs to."""

    def __init__(self, config: ParseNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ParseNetConfig()
        widths = config.level_channels()
        levels = list(itertools.pairwise(widths))
        self.encoder = nn.Sequential(
            ConvLayer(3, widths[0]),
            *(ResidualBlock(width, below, scale=0.5) for width, below in levels),
        )
        self.body = nn.Sequential(
            *(ResidualBlock(widths[-1], widths[-1]) for _ in range(config.body_depth))
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(below, width, scale=2) for width, below in reversed(levels))
        )
        # Reconstructs the picture, a training aid: in the checkpoint, unused to parse.
        self.out_img_conv = ConvLayer(widths[0], 3)
        self.out_mask_conv = ConvLayer(widths[0], config.num_classes)

    def extract_features(self, faces: Tensor, window: Window | None = None) -> Tensor:
        """Compute what both heads read, ``[B, base_channels, H, W]``; a window has a margin."""
        window = window or Window.whole(faces.shape[-1])
        x = self.encoder(faces)
        x = x + self.body(x)
        shrink = 1 << self.config.num_halvings
        for block in self.decoder:
            x = block(window.enter(x, shrink))
            shrink //= 2
            x = window.trim(x, shrink)
        return x

    def forward(self, faces: Tensor, window: Window | None = None) -> Tensor:
        """Segment faces.

        Args:
            faces: RGB ``[B, 3, 512, 512]`` in [-1, 1]; other sizes divisible by 16 run too.
            window: the part that is wanted; the whole if not given.

        Returns:
            Logits ``[B, 19, H, W]``, or of the window, classes as in :class:`FacePart`.
        """
        logits = self.out_mask_conv(self.extract_features(faces, window))
        return logits if window is None else window.leave(logits)
