"""A small network that finds 68 facial landmarks in 3D and says whether a crop shows a face.

It serves the lite face analysis, where no weights may be downloaded. Architecture: a residual
trunk to stride 16, a top-down path to stride 4, one heatmap per point whose expectation is the
point, and a small perceptron for depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_LANDMARKS = 68
CROP_MARGIN = 1.4
"""Side of the crop relative to the longer side of the upright box around the landmarks."""


@dataclass(frozen=True)
class LandmarkNetConfig:
    """Size of the network.

    Attributes:
        crop_size_px: side of the input crop; a multiple of 16.
        widths: channels at strides 2, 4, 8 and 16; multiples of 16 are fast on CPUs.
        hidden: width of the perceptrons for depth and confidence.
    """

    crop_size_px: int = 128
    widths: tuple[int, int, int, int] = (32, 48, 96, 128)
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.crop_size_px % 16 or self.crop_size_px <= 0:
            raise ValueError(f"crop_size_px: got {self.crop_size_px}, expected a multiple of 16")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, Cin, H, W]`` to ``[B, Cout, H / stride, W / stride]``."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class LandmarkNet(nn.Module):
    """Crop of a face to 68 iBUG points with depth, and a confidence."""

    def __init__(self, config: LandmarkNetConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, sixteenth = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.stage4 = ResidualBlock(half, quarter, 2)
        self.stage8 = nn.Sequential(
            ResidualBlock(quarter, eighth, 2), ResidualBlock(eighth, eighth, 1)
        )
        self.stage16 = nn.Sequential(
            ResidualBlock(eighth, sixteenth, 2), ResidualBlock(sixteenth, sixteenth, 1)
        )
        self.lateral8 = nn.Conv2d(sixteenth, eighth, 1)
        self.merge8 = nn.Conv2d(eighth, eighth, 3, 1, 1)
        self.lateral4 = nn.Conv2d(eighth, quarter, 1)
        self.merge4 = nn.Conv2d(quarter, eighth, 3, 1, 1)
        self.heatmaps = nn.Conv2d(eighth, NUM_LANDMARKS, 1)
        self.depth = nn.Sequential(
            nn.Linear(sixteenth + 2 * NUM_LANDMARKS, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, NUM_LANDMARKS),
        )
        self.confidence = nn.Sequential(
            nn.Linear(sixteenth, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1)
        )

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Find the landmarks in a batch of crops.

        Args:
            crops: ``[B, 3, S, S]`` RGB in [0, 1], with S the configured size.

        Returns:
            Points ``[B, 68, 3]``: x and y normalised to the crop, (0, 0) its top-left corner and
            (1, 1) its bottom-right corner; z in crop sides, smaller is nearer, mean 0. And the
            logits ``[B]`` of the crop showing a face about as large and upright as trained on.

        Raises:
            ValueError: the crops are not of the configured size.
        """
        size = self.config.crop_size_px
        if crops.shape[1:] != (3, size, size):
            raise ValueError(f"crops: got {list(crops.shape)}, expected [*, 3, {size}, {size}]")
        at4 = self.stage4(self.stem(crops * 2 - 1))
        at8 = self.stage8(at4)
        at16 = self.stage16(at8)
        up8 = F.relu(self.merge8(F.interpolate(self.lateral8(at16), scale_factor=2.0) + at8))
        up4 = F.relu(self.merge4(F.interpolate(self.lateral4(up8), scale_factor=2.0) + at4))
        flat = expected_position(self.heatmaps(up4).float())
        pooled = at16.mean((2, 3)).float()
        depth = self.depth(torch.cat([pooled, flat.detach().flatten(1)], dim=1))
        depth = depth - depth.mean(1, keepdim=True)
        points = torch.cat([flat, depth.unsqueeze(2).to(flat)], dim=2)
        return points, self.confidence(pooled).squeeze(1)


def expected_position(logits: Tensor) -> Tensor:
    """Return the mean position ``[B, K, 2]``, in [0, 1], of maps of logits ``[B, K, H, W]``."""
    height, width = logits.shape[2:]
    weights = logits.flatten(2).softmax(2).view(logits.shape)
    x = (torch.arange(width, dtype=logits.dtype, device=logits.device) + 0.5) / width
    y = (torch.arange(height, dtype=logits.dtype, device=logits.device) + 0.5) / height
    return torch.stack([(weights.sum(2) * x).sum(2), (weights.sum(3) * y).sum(2)], dim=2)
