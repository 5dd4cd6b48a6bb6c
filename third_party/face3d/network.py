"""Deep3DFaceRecon's coefficient regressor (arXiv 1903.08527), PyTorch release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

HEAD_SIZES = (80, 64, 80, 3, 27, 2, 1)
"""Outputs of the checkpoint's heads; the last two are the x, y and the z of the translation."""


@dataclass(frozen=True)
class Face3DConfig:
    """Shape of the network; the defaults are those of ``face3d_pretrain_epoch_20.pth``.

    Attributes:
        stage_depths: bottleneck blocks in each of the four stages (ResNet-50).
    """

    stage_depths: tuple[int, int, int, int] = (3, 4, 6, 3)


class MorphableCoefficients(NamedTuple):
    """The groups of a coefficient row of the Basel Face Model and its camera.

    Attributes:
        identity: ``[B, 80]``.
        expression: ``[B, 64]``.
        texture: ``[B, 80]``.
        angle: ``[B, 3]`` pitch, yaw, roll in radians.
        illumination: ``[B, 27]`` spherical harmonics, 9 per colour.
        translation: ``[B, 3]``.
    """

    identity: Tensor
    expression: Tensor
    texture: Tensor
    angle: Tensor
    illumination: Tensor
    translation: Tensor

    @classmethod
    def split(cls, rows: Tensor) -> MorphableCoefficients:
        """Name the parts of the rows ``[B, 257]`` that :class:`Face3D` returns."""
        return cls(*rows.split((80, 64, 80, 3, 27, 3), dim=1))


class Face3D(nn.Module):
    """ResNet-50 with seven linear heads."""

    def __init__(self, config: Face3DConfig | None = None) -> None:
        # torchvision brings torch's compiler, a second that jobs without this network are spared.
        from torchvision.models.resnet import Bottleneck, ResNet  # noqa: PLC0415

        super().__init__()
        self.config = config = config or Face3DConfig()
        self.backbone = ResNet(Bottleneck, list(config.stage_depths))
        features = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.final_layers = nn.ModuleList(nn.Conv2d(features, size, 1) for size in HEAD_SIZES)

    def forward(self, faces: Tensor) -> Tensor:
        """Regress coefficients.

        Args:
            faces: RGB ``[B, 3, 224, 224]`` in [0, 1], aligned to the five reference points.

        Returns:
            ``[B, 257]``; :meth:`MorphableCoefficients.split` names the parts.
        """
        features = self.backbone(faces)[:, :, None, None]
        return torch.cat([head(features) for head in self.final_layers], dim=1).flatten(1)
