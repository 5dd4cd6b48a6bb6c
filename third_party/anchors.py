"""Geometry that the anchor-based face detectors share: anchors, decoding, suppression.

Boxes are ``(x1, y1, x2, y2)`` in pixels whose origin is the corner of the picture, as the detectors
were trained; anchors are ``(centre x, centre y, width, height)``. ``A`` counts the anchors of a
picture, ``N`` detections, ``P`` points per face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
"""Factors by which regression targets were divided in training (SSD, arXiv 1512.02325)."""


@dataclass(frozen=True)
class Detections:
    """Faces of one picture, best first.

    Attributes:
        boxes_px: float32 ``[N, 4]``, may reach outside the picture.
        scores: float32 ``[N]`` in [0, 1].
        points_px: float32 ``[N, P, 2]``: 5 points (eyes, nose, corners of the mouth, left to right
            in the picture), or P = 0 where the detector gives none.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    points_px: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


def to_network_range(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Put pictures on a device as float32 ``[B, 3, H, W]`` in 0..255.

    Args:
        images: RGB uint8 ``[B, H, W, 3]``.
        device: where the network is.

    Raises:
        ValueError: another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f"images: got {images.dtype}{list(images.shape)}, expected RGB uint8[B, H, W, 3]"
        )
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return pixels.permute(0, 3, 1, 2).float()


def grid_anchors(height: int, width: int, stride_px: int, sides_px: Sequence[float]) -> Tensor:
    """Square anchors at the centres of the cells of a feature map.

    Returns:
        float32 ``[height * width * len(sides_px), 4]``, by row, column, side.
    """
    y = (torch.arange(height) + 0.5) * stride_px
    x = (torch.arange(width) + 0.5) * stride_px
    sides = torch.tensor(sides_px, dtype=torch.float32)
    cy, cx, side = torch.meshgrid(y, x, sides, indexing="ij")
    return torch.stack([cx, cy, side, side], dim=-1).reshape(-1, 4)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Turn regressed offsets ``[..., A, 4]`` against ``[A, 4]`` into boxes ``[..., A, 4]``."""
    centres = anchors[:, :2] + offsets[..., :2] * CENTRE_VARIANCE * anchors[:, 2:]
    sizes = anchors[:, 2:] * torch.exp(offsets[..., 2:] * SIZE_VARIANCE)
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)


def decode_points(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Turn regressed offsets ``[..., A, 2P]`` against ``[A, 4]`` into points ``[..., A, P, 2]``."""
    offsets = offsets.unflatten(-1, (-1, 2))
    return anchors[:, None, :2] + offsets * CENTRE_VARIANCE * anchors[:, None, 2:]


def select_best(boxes: Tensor, scores: Tensor, max_overlap: float, *, pixel_areas: bool) -> Tensor:
    """Suppress boxes that overlap a better one.

    Args:
        boxes: ``[N, 4]`` px.
        scores: ``[N]``.
        max_overlap: intersection over union above which the lesser box goes.
        pixel_areas: count both border pixels, so that a box's width is ``x2 - x1 + 1``; what the
            detectors' authors did. It equals moving the lower right corner by one pixel.

    Returns:
        Indices of the boxes that stay, best first.
    """
    corner = boxes.new_tensor([0.0, 0.0, 1.0, 1.0]) if pixel_areas else 0.0
    return nms(boxes + corner, scores, max_overlap)
