"""Which pixels of a face may change. Masks are float32 in [0, 1], in the space of a face crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.blocks.lower_half import EDITED_FROM
from retalking.face.crops import LIP_PX
from retalking.ibug68 import JAW, LOWER_JAW, OUTER_LIPS
from retalking.types import Float64Array, FloatArray, UInt8Array
from third_party.parsenet import FacePart

FACE_PARTS = (
    FacePart.SKIN,
    FacePart.NOSE,
    FacePart.EYEGLASSES,
    FacePart.LEFT_EYE,
    FacePart.RIGHT_EYE,
    FacePart.LEFT_BROW,
    FacePart.RIGHT_BROW,
    FacePart.MOUTH,
    FacePart.UPPER_LIP,
    FacePart.LOWER_LIP,
)
"""What is pasted back into the frame."""
MOUTH_PARTS = (FacePart.MOUTH, FacePart.UPPER_LIP, FacePart.LOWER_LIP)
"""What is taken from the restored face (upstream's choice: teeth, not identity)."""

_CHIN_ROOM = 0.06  # share of the crop by which an opening mouth may lower the chin
INSET_PX = 2 * round(0.025 * LIP_PX) + 1
SLOPE = 0.03  # standard deviation of a mask's edge, share of its side
_FELT = 2.66  # standard deviations beyond which a Gaussian has 1/256 of its sum
_FADE_PX = 8
_RIM = 0.03  # share of the crop's side along which everything fades to nothing


def lower_face_mask(landmarks: NDArray[np.floating], whole_face: bool = False) -> FloatArray:
    """Lower face within the jaw line, where no parser is at hand.

    The outline is lowered at the chin: the new mouth may be open where the old one was shut.

    Args:
        landmarks: ``[68, 2]`` in pixels of the lip crop.
        whole_face: take the upper half of the crop as well.

    Returns:
        float32 ``[384, 384]``, soft, zero along the border of the crop.
    """
    mask = fill_hull(lower_face_outline(landmarks, whole_face), LIP_PX)
    # The slope lies inside the outline, or the blurred edge of the face would spill over the rest.
    core = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (INSET_PX, INSET_PX)))
    return soften(core.astype(np.float32)) * edited_band(whole_face)


def lower_face_outline(landmarks: NDArray[np.floating], whole_face: bool = False) -> Float64Array:
    """Points ``[19, 2]`` whose hull ``lower_face_mask`` lies in; the arguments are the same."""
    jaw = np.array(landmarks[JAW], dtype=np.float64)
    jaw[LOWER_JAW, 1] += _CHIN_ROOM * LIP_PX
    top = 0.0 if whole_face else EDITED_FROM * LIP_PX
    lid = [(x, min(y, top)) for x, y in jaw[[-1, 0]]]
    return np.concatenate([jaw, lid])


def upper_face_mask(landmarks: NDArray[np.floating]) -> FloatArray:
    """What is missing from ``lower_face_mask`` to the mask of the whole face."""
    lower, whole = (lower_face_mask(landmarks, whole_face) for whole_face in (False, True))
    position = (np.arange(LIP_PX, dtype=np.float32) + 0.5) / LIP_PX
    upper = np.clip((EDITED_FROM + 2 * _RIM - position) / (2 * _RIM), 0, 1)[:, None]
    mask: FloatArray = np.maximum(whole - lower, 0) * upper
    return mask


def fill_hull(points_px: NDArray[np.floating], size_px: int) -> UInt8Array:
    """Fill the convex hull of points ``[N, 2]``: uint8 ``[size_px, size_px]``, 1 inside."""
    mask = np.zeros((size_px, size_px), dtype=np.uint8)
    hull = cv2.convexHull(points_px.astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull * 16).astype(np.int32), 1, shift=4)
    return mask


def edited_band(whole_face: bool = False) -> FloatArray:
    """Weight of each row and column of the lip crop: 1 inside what the networks inpaint.

    Args:
        whole_face: take the upper half of the crop as well.

    Returns:
        float32 ``[384, 384]`` that falls to zero at the border and at the edge of the lower half.
    """
    position = (np.arange(LIP_PX, dtype=np.float32) + 0.5) / LIP_PX
    rim = np.clip(np.minimum(position, 1 - position) / _RIM - 0.2, 0, 1)
    rows = rim if whole_face else rim * np.clip((position - EDITED_FROM) / (2 * _RIM), 0, 1)
    band: FloatArray = np.outer(rows, rim).astype(np.float32)
    return band


def mouth_mask(landmarks: NDArray[np.floating], size_px: int) -> FloatArray:
    """Lips and what is between them, where no parser is at hand.

    Args:
        landmarks: ``[68, 2]`` in pixels of a square crop.
        size_px: side of the crop.

    Returns:
        float32 ``[size_px, size_px]``, soft.
    """
    return soften(fill_mouth(landmarks, size_px).astype(np.float32))


def fill_mouth(landmarks: NDArray[np.floating], size_px: int) -> UInt8Array:
    """``mouth_mask`` before it is softened: uint8 ``[size_px, size_px]``, 1 inside."""
    mask = np.zeros((size_px, size_px), dtype=np.uint8)
    outline = cv2.convexHull(np.rint(landmarks[OUTER_LIPS]).astype(np.int32))
    cv2.fillConvexPoly(mask, outline, 1)
    return mask


def part_mask(labels: UInt8Array, parts: tuple[FacePart, ...]) -> FloatArray:
    """Where a parsed face shows any of some parts.

    Args:
        labels: uint8 ``[S, S]``, values of ``FacePart``.
        parts: ``FACE_PARTS`` or ``MOUTH_PARTS``, for example.

    Returns:
        float32 ``[S, S]``, soft.
    """
    return soften(np.isin(labels, parts).astype(np.float32))


def inner_square(size_px: int) -> FloatArray:
    """Whole crop but its rim: float32 ``[size_px, size_px]``, soft, zero along the border."""
    mask = np.zeros((size_px, size_px), dtype=np.float32)
    margin = round(3 * SLOPE * size_px)
    mask[margin:-margin, margin:-margin] = 1
    return soften(mask)


def fade_out(height_px: int, width_px: int) -> FloatArray:
    """Weights ``[height, width]``: 1 but for a rim along the border, where they fall to zero."""
    rims = [
        np.clip(np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / _FADE_PX, 0, 1)
        for side in (height_px, width_px)
    ]
    weights: FloatArray = np.outer(*rims).astype(np.float32)
    return weights


def felt_px(size_px: int) -> int:
    """How far from an edge ``soften`` changes a mask by more than 1/256."""
    return int(np.ceil(_FELT * SLOPE * size_px))


def soften(mask: FloatArray) -> FloatArray:
    """Turn the edge of a mask into a slope that is as wide as the face is large."""
    soft = cv2.GaussianBlur(mask, (0, 0), SLOPE * mask.shape[0])
    return soft.astype(np.float32, copy=False)
