"""A lender's mouth put into a face: hue of the place it comes to, and a soft edge."""

from __future__ import annotations

import cv2
import numpy as np

from retalking.ibug68 import NOSE_BASE_MIDDLE, OUTER_LIPS
from retalking.mouth.warp.mesh import Box
from retalking.types import Float64Array, FloatArray, UInt8Array

_ROOM = np.array([1.35, 1.6])  # size of the patch in sizes of the lips
_BELOW_NOSE_PX = 4.0  # of the lip crop
_EDGE_PX = 7.0  # of the lip crop: standard deviation of the patch's edge
_TINT_PX = 14.0  # of the lip crop: over which differences of light are smoothed


def patch_outline(target: Float64Array, scale: float) -> Float64Array:
    """Outline ``[12, 2]`` of the patch around the lips of landmarks ``[68, 2]``."""
    lips = target[OUTER_LIPS]
    outline = lips.mean(axis=0) + (lips - lips.mean(axis=0)) * _ROOM
    outline[:, 1] = np.maximum(outline[:, 1], target[NOSE_BASE_MIDDLE, 1] + _BELOW_NOSE_PX * scale)
    return outline


def patch_box(outline: Float64Array, scale: float) -> Box:
    """Box of the frame that holds the patch with its soft edge."""
    room = 3 * _EDGE_PX * scale
    low = np.floor(outline.min(axis=0) - room).astype(int)
    high = np.ceil(outline.max(axis=0) + room).astype(int) + 1
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def join_mouth(
    base: UInt8Array,
    mouth: FloatArray,
    outline: Float64Array,
    origin: tuple[int, int],
    scale: float,
) -> UInt8Array:
    """Lay a mouth over the base.

    What the two differ by along the edge, smoothed towards the middle, is taken from the mouth: it
    keeps its own detail and gets the light of the place.

    Args:
        base: uint8 ``[h, w, 3]``.
        mouth: float32 ``[h, w, 3]``, warped to the same place.
        outline: ``[12, 2]`` in pixels of the frame.
        origin: of the box in the frame.
        scale: pixels of the frame per pixel of the lip crop.

    Returns:
        uint8 ``[h, w, 3]``.
    """
    height, width = base.shape[:2]
    shrink = max(2 * scale, 1.0)
    size = (max(round(width / shrink), 8), max(round(height / shrink), 8))
    per_px = np.array(size) / (width, height)
    placed = (outline - origin + 0.5) * per_px - 0.5
    inside = np.zeros(size[::-1], dtype=np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(placed * 16).astype(np.int32)), 1, shift=4)
    sigma = _EDGE_PX * scale * float(per_px.mean())
    share = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), sigma)

    difference = mouth - base
    excess = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
    rim = share * (1 - share)
    sigma = _TINT_PX * scale * float(per_px.mean())
    weight = cv2.GaussianBlur(rim, (0, 0), sigma)[..., None] + 1e-4
    mean = (excess * rim[..., None]).sum(axis=(0, 1)) / max(float(rim.sum()), 1e-6)
    tint = cv2.GaussianBlur((excess - mean) * rim[..., None], (0, 0), sigma) / weight + mean
    small = np.dstack([tint, share]).astype(np.float32)
    both = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    joined = base + both[..., 3:] * (difference - both[..., :3])
    return np.rint(joined.clip(0, 255)).astype(np.uint8)
