"""GANimation generator (arXiv 1807.09251): expression editing by action units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from third_party.ganimation.expressions import ACTION_UNITS


@dataclass(frozen=True)
class GANimationConfig:
    """Shape of the network; the defaults are those of ``30_net_gen.pth``.

    Attributes:
        base_channels: channels at full size; they double at each of two halvings.
        num_blocks: residual blocks at a quarter of the size.
    """

    base_channels: int = 64
    num_blocks: int = 6


def _normed(conv: nn.Module, channels: int) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(channels), nn.ReLU()]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm around a plain shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *_normed(nn.Conv2d(channels, channels, 3, padding=1), channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C, H, W]`` of the same."""
        return x + self.conv_block(x)


class GANimation(nn.Module):
    """Change the expression of a face."""

    def __init__(self, config: GANimationConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GANimationConfig()
        width = config.base_channels
        self.model = nn.Sequential(
            *_normed(nn.Conv2d(3 + len(ACTION_UNITS), width, 7, padding=3), width),
            *_normed(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), 2 * width),
            *_normed(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1), 4 * width),
            *(ResidualBlock(4 * width) for _ in range(config.num_blocks)),
            *_normed(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, padding=1), 2 * width),
            *_normed(nn.ConvTranspose2d(2 * width, width, 4, 2, padding=1), width),
        )
        self.color_top = nn.Sequential(nn.Conv2d(width, 3, 7, padding=3, bias=False), nn.Tanh())
        self.au_top = nn.Sequential(nn.Conv2d(width, 1, 7, padding=3, bias=False), nn.Sigmoid())

    def extract_features(self, faces: Tensor, aus: Tensor) -> Tensor:
        """Compute what both heads read, ``[B, base_channels, H, W]``."""
        planes = aus[:, :, None, None].expand(-1, -1, *faces.shape[2:])
        return self.model(torch.cat([faces, planes], dim=1))

    def forward(self, faces: Tensor, aus: Tensor) -> Tensor:
        """Give faces the expression that action units describe.

        Args:
            faces: RGB ``[B, 3, 128, 128]`` in [-1, 1]. (Upstream feeds BGR to weights that were
                trained on RGB.)
            aus: ``[B, 17]`` in [0, 1], order of ``ACTION_UNITS``.

        Returns:
            RGB ``[B, 3, 128, 128]`` in [-1, 1]: ``a * faces + (1 - a) * colour``, where the
            network predicts the attention ``a`` and the colour (paper equation 1).
        """
        features = self.extract_features(faces, aus)
        attention = self.au_top(features)
        return attention * faces + (1 - attention) * self.color_top(features)
