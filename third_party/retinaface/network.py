"""RetinaFace with a ResNet-50 (arXiv 1905.00641): feature pyramid, context modules, three heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from retalking.errors import ConfigError
from third_party.anchors import Detections, to_network_range
from third_party.retinaface.detection import DetectionConfig, make_anchors, select_faces

MEAN_BGR = (104.0, 117.0, 123.0)
ANCHORS_PER_CELL = 2


@dataclass(frozen=True)
class RetinaFaceConfig:
    """Shape of the network; the defaults are those of ``RetinaFace-R50.pth``.

    Attributes:
        stage_depths: bottleneck blocks in the four stages of the ResNet.
        pyramid_channels: channels of every pyramid level, divisible by 4.
    """

    stage_depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    pyramid_channels: int = 256

    def __post_init__(self) -> None:
        if self.pyramid_channels < 4 or self.pyramid_channels % 4:
            raise ConfigError(
                f"pyramid_channels: got {self.pyramid_channels}, expected a multiple of 4"
            )


class RawOutputs(NamedTuple):
    """Outputs per anchor, ordered by stride, row, column, anchor.

    Attributes:
        boxes: offsets ``[B, A, 4]``.
        scores: probabilities of background and face ``[B, A, 2]``.
        points: offsets ``[B, A, 10]``, x and y of each point in turn.
    """

    boxes: Tensor
    scores: Tensor
    points: Tensor


def _conv_bn(
    in_channels: int, out_channels: int, kernel_size: int = 3, activate: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if activate else nn.Sequential(*layers)


class FeaturePyramid(nn.Module):
    """Bring three stages to one width and let each see the coarser ones."""

    def __init__(self, in_channels: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (
            _conv_bn(width, channels, kernel_size=1) for width in in_channels
        )
        self.merge1 = _conv_bn(channels, channels)
        self.merge2 = _conv_bn(channels, channels)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> list[Tensor]:
        """Return the pyramid, fine to coarse."""
        level3 = self.output3(coarse)
        level2 = self.output2(middle)
        level2 = self.merge2(level2 + F.interpolate(level3, size=level2.shape[2:], mode="nearest"))
        level1 = self.output1(fine)
        level1 = self.merge1(level1 + F.interpolate(level2, size=level1.shape[2:], mode="nearest"))
        return [level1, level2, level3]


class ContextModule(nn.Module):
    """SSH: views of 3x3, 5x5 and 7x7, the larger ones as stacked 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.conv3X3 = _conv_bn(channels, channels // 2, activate=False)
        self.conv5X5_1 = _conv_bn(channels, quarter)
        self.conv5X5_2 = _conv_bn(quarter, quarter, activate=False)
        self.conv7X7_2 = _conv_bn(quarter, quarter)
        self.conv7x7_3 = _conv_bn(quarter, quarter, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C, H, W]`` of the same."""
        shared = self.conv5X5_1(x)
        views = [self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(views, dim=1))


class Head(nn.Module):
    """1x1 convolution that predicts a number of values for each anchor."""

    def __init__(self, channels: int, num_values: int) -> None:
        super().__init__()
        self.num_values = num_values
        self.conv1x1 = nn.Conv2d(channels, ANCHORS_PER_CELL * num_values, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, H * W * anchors, num_values]``."""
        return self.conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.num_values)


class RetinaFace(nn.Module):
    """Detect faces of any size with five points each."""

    def __init__(self, config: RetinaFaceConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RetinaFaceConfig()
        channels = config.pyramid_channels
        self.body = ResNet(Bottleneck, list(config.stage_depths))
        del self.body.fc  # the checkpoint has no classifier
        self.fpn = FeaturePyramid((512, 1024, 2048), channels)
        self.ssh1, self.ssh2, self.ssh3 = (ContextModule(channels) for _ in range(3))
        self.ClassHead = nn.ModuleList(Head(channels, 2) for _ in range(3))
        self.BboxHead = nn.ModuleList(Head(channels, 4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(Head(channels, 10) for _ in range(3))

    def forward(self, images: Tensor) -> RawOutputs:
        """Predict per anchor.

        Args:
            images: **BGR** ``[B, 3, H, W]`` in 0..255 minus ``MEAN_BGR``, any size.
        """
        body = self.body
        x = body.maxpool(body.relu(body.bn1(body.conv1(images))))
        fine = body.layer2(body.layer1(x))
        middle = body.layer3(fine)
        pyramid = self.fpn(fine, middle, body.layer4(middle))
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        features = [ssh(level) for ssh, level in zip(contexts, pyramid, strict=True)]

        def predict(heads: nn.ModuleList) -> Tensor:
            outputs = [head(level) for head, level in zip(heads, features, strict=True)]
            return torch.cat(outputs, dim=1).float()

        scores = predict(self.ClassHead).softmax(dim=-1)
        return RawOutputs(predict(self.BboxHead), scores, predict(self.LandmarkHead))

    @torch.inference_mode()
    def detect(
        self, images: NDArray[np.uint8], config: DetectionConfig | None = None
    ) -> list[Detections]:
        """Find the faces of pictures of one size, all in one pass of the network.

        Args:
            images: RGB uint8 ``[B, H, W, 3]``.
            config: thresholds and reduction of large pictures.

        Returns:
            The faces of each picture, in its pixels.

        Raises:
            ValueError: the pictures have another type or shape.
        """
        config = config or DetectionConfig()
        x = to_network_range(images, next(self.parameters()).device).flip(1)
        height, width = x.shape[2:]
        size = config.network_size(height, width)
        if size != (height, width):
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        raw = self(x - x.new_tensor(MEAN_BGR)[:, None, None])
        anchors = make_anchors(*size).to(x.device)
        scale = (size[1] / width, size[0] / height)
        return [
            select_faces(boxes, scores[:, 1], points, anchors, scale=scale, config=config)
            for boxes, scores, points in zip(*raw, strict=True)
        ]
