"""``masks.lower_face_mask`` of batches: a few numbers go to the device, and no picture."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from retalking.face.crops import LIP_PX
from retalking.rendering.masks import (
    INSET_PX,
    SLOPE,
    edited_band,
    fill_hull,
    lower_face_outline,
)
from retalking.rendering.on_device.filters import blur
from retalking.types import Float64Array, IntArray


def outline_rows(landmarks: Float64Array, whole_face: bool = False) -> IntArray:
    """Where the outlines of lower faces begin and end in each row.

    Args:
        landmarks: ``[N, 68, 2]`` in pixels of lip crops.
        whole_face: take the upper half of the crop as well.

    Returns:
        int64 ``[N, 384, 2]``, first column within and first one after it.
    """
    rows = np.zeros((len(landmarks), LIP_PX, 2), np.int64)
    for place, points in enumerate(landmarks):
        filled = fill_hull(lower_face_outline(points, whole_face), LIP_PX)
        rows[place, :, 0] = filled.argmax(axis=1)
        rows[place, :, 1] = rows[place, :, 0] + filled.sum(axis=1)
    return rows


def lower_face_masks(rows: Tensor, whole_face: bool = False) -> Tensor:
    """Draw the masks, float32 ``[N, 1, 384, 384]``, of ``outline_rows`` where these are."""
    columns = torch.arange(LIP_PX, device=rows.device)
    first, last = rows[:, None, :, None].unbind(4)
    within = ((columns >= first) & (columns < last)).float()
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (INSET_PX, INSET_PX))
    kernel = torch.from_numpy(shape.astype(np.float32)).to(rows.device)[None, None]
    near_outside = conv2d(1 - within, kernel, padding=INSET_PX // 2)
    core = (near_outside < 0.5).float()
    band = torch.from_numpy(edited_band(whole_face)).to(rows.device)
    return blur(core, SLOPE * LIP_PX) * band
