"""From RetinaFace's raw outputs to faces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from third_party.anchors import (
    Detections,
    decode_boxes,
    decode_points,
    grid_anchors,
    select_best,
)

STRIDES_PX = (8, 16, 32)
ANCHOR_SIDES_PX = ((16, 32), (64, 128), (256, 512))
"""Sides of the two anchors in each cell, by stride."""


@dataclass(frozen=True)
class DetectionConfig:
    """What counts as a face; the defaults are those of GPEN's detector.

    GFPGAN's use of the same weights is ``DetectionConfig(min_score=0.97, pixel_areas=False,
    max_side_px=None)``.

    Attributes:
        min_score: faces must score above this, in [0, 1].
        max_overlap: intersection over union above which the lesser of two faces goes.
        pixel_areas: count border pixels in the overlap, see ``third_party.anchors.select_best``.
        max_side_px: pictures with a longer side are reduced first; ``None`` for never.
        reduced_side_px: the longer side they are reduced to.
        max_candidates: the best this many go into the suppression ...
        max_faces: ... and the best this many come out of it.
    """

    min_score: float = 0.9
    max_overlap: float = 0.4
    pixel_areas: bool = True
    max_side_px: int | None = 1500
    reduced_side_px: int = 1000
    max_candidates: int = 5000
    max_faces: int = 750

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a picture is given to the network."""
        longer = max(height, width)
        if self.max_side_px is None or longer <= self.max_side_px:
            return height, width
        scale = self.reduced_side_px / longer
        return round(height * scale), round(width * scale)


def make_anchors(height: int, width: int) -> Tensor:
    """All anchors of a picture, ``[A, 4]`` px, in the order of the network's outputs."""
    return torch.cat(
        [
            grid_anchors(-(-height // stride), -(-width // stride), stride, sides)
            for stride, sides in zip(STRIDES_PX, ANCHOR_SIDES_PX, strict=True)
        ]
    )


def select_faces(
    boxes: Tensor,
    scores: Tensor,
    points: Tensor,
    anchors: Tensor,
    *,
    scale: tuple[float, float],
    config: DetectionConfig,
) -> Detections:
    """Decode and filter the outputs for one picture.

    Args:
        boxes: regressed offsets ``[A, 4]``.
        scores: probability of a face ``[A]``.
        points: regressed offsets ``[A, 10]``.
        anchors: ``[A, 4]`` px of the network's input.
        scale: width and height of the network's input as a share of the picture's. Only places
            are divided by it (upstream divides the scores too).
        config: what to keep.
    """
    candidates = torch.nonzero(scores > config.min_score).flatten()
    best = scores[candidates].argsort(descending=True, stable=True)[: config.max_candidates]
    candidates = candidates[best]
    anchors, scores = anchors[candidates], scores[candidates]
    boxes = decode_boxes(boxes[candidates], anchors)
    kept = select_best(boxes, scores, config.max_overlap, pixel_areas=config.pixel_areas)
    kept = kept[: config.max_faces]
    to_picture = boxes.new_tensor(scale)
    faces = decode_points(points[candidates[kept]], anchors[kept]) / to_picture
    return Detections(
        boxes_px=(boxes[kept] / to_picture.repeat(2)).cpu().numpy(),
        scores=scores[kept].cpu().numpy(),
        points_px=faces.cpu().numpy(),
    )
