"""ArcFace embedding network (arXiv 1801.07698): the "improved" ResNet-50 of InsightFace."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from retalking.errors import ConfigError

ARCFACE_PX = 112
ARCFACE_POINTS_112 = (
    (38.29459953, 51.69630051),
    (73.53179932, 51.50139999),
    (56.02519989, 71.73660278),
    (41.54930115, 92.3655014),
    (70.72990036, 92.20410156),
)
"""Right eye, left eye, nose tip and mouth corners in a 112 px face, pixel centres at integers."""


@dataclass(frozen=True)
class ArcFaceConfig:
    """Shape of the network; the defaults are those of InsightFace's ``iresnet50``.

    Attributes:
        base_channels: channels of the stem and the first stage; they double at each later stage.
        stage_depths: residual blocks per stage; every stage halves the picture.
        embedding_dim: length of the embedding.
        input_px: side of the square input, divisible by 2 to the number of stages.
    """

    base_channels: int = 64
    stage_depths: tuple[int, ...] = (3, 4, 14, 3)
    embedding_dim: int = 512
    input_px: int = ARCFACE_PX

    def __post_init__(self) -> None:
        if self.input_px % 2 ** len(self.stage_depths):
            raise ConfigError(
                f"input_px: got {self.input_px}, expected a multiple of 2 to the number of stages "
                f"({len(self.stage_depths)})"
            )


class ResidualBlock(nn.Module):
    """Norm, convolution, norm, PReLU, convolution (maybe halving), norm; plus the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, O, H / stride, W / stride]``."""
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(out)) + self.downsample(x)


class ArcFace(nn.Module):
    """Embed aligned faces so that the angle between embeddings tells identities apart."""

    def __init__(self, config: ArcFaceConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ArcFaceConfig()
        channels = config.base_channels
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        for stage, depth in enumerate(config.stage_depths):
            width = config.base_channels << stage
            blocks = [ResidualBlock(channels, width, stride=2)]
            blocks += [ResidualBlock(width, width, stride=1) for _ in range(depth - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = width
        self.bn2 = nn.BatchNorm2d(channels)
        side_px = config.input_px >> len(config.stage_depths)
        self.fc = nn.Linear(channels * side_px**2, config.embedding_dim)
        self.features = nn.BatchNorm1d(config.embedding_dim)

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces.

        Args:
            faces: RGB ``[B, 3, 112, 112]`` in [-1, 1], aligned to ArcFace's five points.

        Returns:
            ``[B, 512]``, not normalised; :meth:`embed` gives unit length.
        """
        x = self.prelu(self.bn1(self.conv1(faces)))
        for stage in range(len(self.config.stage_depths)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))

    def embed(self, faces: Tensor) -> Tensor:
        """Embed faces on the unit sphere; the dot product of two rows is their cosine."""
        return F.normalize(self(faces).float(), dim=1)
