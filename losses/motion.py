"""Where a flow leads known points; not in the paper, used by the lite recipe of D-Net."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from models.blocks.warping import flow_to_deformation
from retalking.ibug68 import MOUTH


def point_loss(
    flow_px: Tensor, sources_px: Tensor, targets_px: Tensor, size_px: int, lips: float
) -> Tensor:
    """Mean distance between where the flow fetches the landmarks from and where they were.

    A picture loss tells a flow which way to go only when it is nearly right; this one always does.

    Args:
        flow_px: ``[B, 2, h, w]`` of D-Net.
        sources_px: ``[B, 68, 2]``, landmarks in the picture that is warped.
        targets_px: ``[B, 68, 2]``, the same landmarks in the wanted picture.
        size_px: side of both pictures.
        lips: how much more a point of the lips counts.

    Returns:
        A scalar in pixels.
    """
    deformation = flow_to_deformation(flow_px).permute(0, 3, 1, 2)
    asked = ((targets_px + 0.5) * (2 / size_px) - 1)[:, None]
    fetched = F.grid_sample(deformation, asked, padding_mode="border", align_corners=False)
    found_px = (fetched[:, :, 0].transpose(1, 2) + 1) * (size_px / 2) - 0.5
    distance = (found_px - sources_px).abs().sum(-1)
    weight = distance.new_ones(distance.shape[1])
    weight[MOUTH] = lips
    return (distance * weight).mean() / weight.mean()
