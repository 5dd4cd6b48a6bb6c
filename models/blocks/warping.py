"""Flow fields and the warp that D-Net applies with them.

Upstream behaviour kept for parity: the base grid places samples on corners (``2i / (n - 1) - 1``)
but ``grid_sample`` reads it with ``align_corners=False``, so zero flow is not the identity. The
released weights were trained with this.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def flow_to_deformation(flow_px: Tensor) -> Tensor:
    """Turn a flow into sampling positions.

    Args:
        flow_px: ``[B, 2, h, w]``, offset in x and y in pixels of the flow's own grid.

    Returns:
        ``[B, h, w, 2]``, positions (x, y) where -1 and 1 are the first and last grid point.
    """
    height, width = flow_px.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    step = flow_px.new_tensor([2 / (width - 1), 2 / (height - 1)])
    grid = torch.stack([columns, rows], dim=-1).to(flow_px)
    return grid + flow_px.permute(0, 2, 3, 1) * step


def warp(image: Tensor, deformation: Tensor) -> Tensor:
    """Sample a picture at the positions of a (usually smaller) deformation.

    Args:
        image: ``[B, C, H, W]``.
        deformation: ``[B, h, w, 2]`` as ``flow_to_deformation`` returns; resized bilinearly.

    Returns:
        ``[B, C, H, W]``, zero where a position lies outside.
    """
    size = image.shape[-2:]
    if deformation.shape[1:3] != size:
        planes = deformation.permute(0, 3, 1, 2)
        planes = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)
        deformation = planes.permute(0, 2, 3, 1)
    return F.grid_sample(image, deformation.to(image.dtype), align_corners=False)
