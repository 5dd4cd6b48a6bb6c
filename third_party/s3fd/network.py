"""S3FD (arXiv 1708.05237): a VGG-16 that predicts one anchor per cell at six strides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from third_party.anchors import (
    Detections,
    decode_boxes,
    grid_anchors,
    select_best,
    to_network_range,
)

MEAN = (104.0, 117.0, 123.0)
ANCHOR_SIDE_PER_STRIDE = 4
FINEST_STRIDE_PX = 4
TRUNK = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3x3 convolutions of VGG-16's stages."""
NORMED = {"conv3_3": 256, "conv4_3": 512, "conv5_3": 512}
SOURCES = {
    "conv3_3_norm": 256,
    "conv4_3_norm": 512,
    "conv5_3_norm": 512,
    "fc7": 1024,
    "conv6_2": 512,
    "conv7_2": 256,
}
"""Feature maps that predict, fine to coarse, with their channels."""
BACKGROUND_LOGITS = 3
"""The finest map has this many logits for background; the largest counts (max-out)."""


@dataclass(frozen=True)
class DetectionConfig:
    """What counts as a face; the defaults are those of Wav2Lip's and VideoReTalking's detector.

    Attributes:
        min_score: faces must score above this, in [0, 1].
        max_overlap: intersection over union above which the lesser of two faces goes.
        candidate_score: anchors above this take part in the suppression.
    """

    min_score: float = 0.5
    max_overlap: float = 0.3
    candidate_score: float = 0.05


class ChannelNorm(nn.Module):
    """Scale the features of each pixel to unit length, then by a weight per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C, H, W]`` of the same."""
        length = x.float().square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return x / length * self.weight[:, None, None]


class S3FD(nn.Module):
    """Find faces, small ones too."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for stage, (width, depth) in enumerate(TRUNK, 1):
            for index in range(1, depth + 1):
                self.add_module(f"conv{stage}_{index}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        for name, width in NORMED.items():
            self.add_module(f"{name}_norm", ChannelNorm(width))
        for index, (name, width) in enumerate(SOURCES.items()):
            num_logits = BACKGROUND_LOGITS + 1 if index == 0 else 2
            self.add_module(f"{name}_mbox_conf", nn.Conv2d(width, num_logits, 3, padding=1))
            self.add_module(f"{name}_mbox_loc", nn.Conv2d(width, 4, 3, padding=1))

    def _extract(self, x: Tensor) -> list[Tensor]:
        sources = []
        for stage, (_, depth) in enumerate(TRUNK, 1):
            for index in range(1, depth + 1):
                x = F.relu(self.get_submodule(f"conv{stage}_{index}")(x))
            name = f"conv{stage}_{depth}"
            if name in NORMED:
                sources.append(self.get_submodule(f"{name}_norm")(x))
            x = F.max_pool2d(x, 2)
        x = F.relu(self.fc7(F.relu(self.fc6(x))))
        sources.append(x)
        x = F.relu(self.conv6_2(F.relu(self.conv6_1(x))))
        sources.append(x)
        x = F.relu(self.conv7_2(F.relu(self.conv7_1(x))))
        return [*sources, x]

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Predict at each of the six strides, fine to coarse.

        Args:
            images: ``[B, 3, H, W]`` in 0..255 minus ``MEAN``, any size from 64 px on.

        Returns:
            Logits of background and face ``[B, 2, h, w]`` and box offsets ``[B, 4, h, w]``.
        """
        outputs = []
        for name, features in zip(SOURCES, self._extract(images), strict=True):
            logits = self.get_submodule(f"{name}_mbox_conf")(features)
            background, face = logits[:, :-1], logits[:, -1:]
            logits = torch.cat([background.amax(dim=1, keepdim=True), face], dim=1)
            outputs.append((logits, self.get_submodule(f"{name}_mbox_loc")(features)))
        return outputs

    @torch.inference_mode()
    def detect(
        self, images: NDArray[np.uint8], config: DetectionConfig | None = None
    ) -> list[Detections]:
        """Find the faces of pictures of one size, all in one pass of the network.

        The mean belongs to BGR but meets RGB: upstream behaviour kept, since the thresholds were
        set with it.

        Args:
            images: RGB uint8 ``[B, H, W, 3]``.
            config: thresholds.

        Returns:
            The faces of each picture, without points.

        Raises:
            ValueError: the pictures have another type or shape.
        """
        config = config or DetectionConfig()
        x = to_network_range(images, next(self.parameters()).device)
        boxes, scores = self._decode(self(x - x.new_tensor(MEAN)[:, None, None]))
        found = []
        for picture_boxes, picture_scores in zip(boxes, scores, strict=True):
            candidates = torch.nonzero(picture_scores > config.candidate_score).flatten()
            best = select_best(
                picture_boxes[candidates],
                picture_scores[candidates],
                config.max_overlap,
                pixel_areas=True,
            )
            kept = candidates[best]
            kept = kept[picture_scores[kept] > config.min_score]
            found.append(
                Detections(
                    boxes_px=picture_boxes[kept].cpu().numpy(),
                    scores=picture_scores[kept].cpu().numpy(),
                    points_px=np.zeros((len(kept), 0, 2), np.float32),
                )
            )
        return found

    @staticmethod
    def _decode(outputs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for level, (logits, offsets) in enumerate(outputs):
            stride_px = FINEST_STRIDE_PX << level
            height, width = offsets.shape[2:]
            sides_px = (stride_px * ANCHOR_SIDE_PER_STRIDE,)
            anchors = grid_anchors(height, width, stride_px, sides_px).to(offsets.device)
            boxes.append(decode_boxes(offsets.float().flatten(2).transpose(1, 2), anchors))
            scores.append(logits.float().softmax(dim=1)[:, 1].flatten(1))
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
