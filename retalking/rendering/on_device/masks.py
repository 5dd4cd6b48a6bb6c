"""``masks.lower_face_mask`` of batches: a few numbers go to the device, and no picture."""

from __future__ import annotations

from functools import lru_cache

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
from retalking.types import Float64Array, IntArray, UInt8Array


def outline_rows(landmarks: Float64Array, whole_face: bool = False) -> IntArray:
    """Where the outlines of lower faces begin and end in each row.

    Args:
        landmarks: ``[N, 68, 2]`` in pixels of lip crops.
        whole_face: take the upper half of the crop as well.

    Returns:
        int64 ``[N, 384, 2]``, see ``rows_of``.
    """
    outlines = [lower_face_outline(points, whole_face) for points in landmarks]
    return rows_of([fill_hull(points, LIP_PX) for points in outlines])


def rows_of(filled: list[UInt8Array]) -> IntArray:
    """Describe convex areas ``[S, S]``: int64 ``[N, S, 2]``, first column within, first after."""
    first = [area.argmax(axis=1) for area in filled]
    ends = [start + area.sum(axis=1) for start, area in zip(first, filled, strict=True)]
    return np.stack([np.array(first), np.array(ends)], axis=2).astype(np.int64)


def areas_of(rows: Tensor) -> Tensor:
    """Draw areas, float32 ``[N, 1, S, S]``, of ``rows_of`` where these are."""
    columns = torch.arange(rows.shape[1], device=rows.device)
    first, last = rows[:, None, :, None].unbind(4)
    return ((columns >= first) & (columns < last)).float()


def soften(areas: Tensor) -> Tensor:
    """``masks.soften`` of ``[N, 1, S, S]``."""
    return blur(areas, SLOPE * areas.shape[2])


def lower_face_masks(rows: Tensor, whole_face: bool = False) -> Tensor:
    """Draw the masks, float32 ``[N, 1, 384, 384]``, of ``outline_rows`` where these are."""
    inset, band = _inset_and_band(whole_face, rows.device)
    near_outside = conv2d(1 - areas_of(rows), inset, padding=INSET_PX // 2)
    return soften((near_outside < 0.5).float()) * band


@lru_cache(maxsize=4)
def _inset_and_band(whole_face: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (INSET_PX, INSET_PX))
    inset = torch.from_numpy(shape.astype(np.float32)).to(device)[None, None]
    return inset, torch.from_numpy(edited_band(whole_face)).to(device)
