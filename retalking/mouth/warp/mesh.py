"""Piecewise-linear warps of a face: triangles over landmarks, drawn as a map for ``cv2.remap``.

Points are ``[P, 3]`` in pixels of a frame, with depth: the 68 landmarks, then a ring at the border
of the lip crop, which moves with the head and with nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from retalking.face.affine import compose_affine, invert_affine, transform_points
from retalking.face.crops import LIP_PX
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the frame; may reach beyond it."""

_RING_SIDE = 9  # points along a side of the lip crop
_SMOOTHING_PX = 2.0  # of the lip crop: standard deviation of the filter over a map
_BEHIND = 1e6  # depth of the ring: whatever belongs to the face is drawn over it


def ring_points() -> Float64Array:
    """Points along the border of the lip crop: ``[32, 2]``."""
    side = np.linspace(0, LIP_PX - 1, _RING_SIDE)
    x, y = np.meshgrid(side, side)
    rim = (x == side[0]) | (x == side[-1]) | (y == side[0]) | (y == side[-1])
    return np.stack([x[rim], y[rim]], axis=1)


def add_ring(points: Float64Array, to_lips: Float64Array) -> Float64Array:
    """Put the ring around landmarks ``[68, 3]`` of a frame whose lip crop is ``to_lips``."""
    flat = transform_points(invert_affine(to_lips), ring_points())
    ring = np.concatenate([flat, np.full((len(flat), 1), _BEHIND)], axis=1)
    return np.concatenate([points, ring])


def triangulate(points: Float64Array) -> IntArray:
    """Delaunay triangles of points ``[P, 2]`` in the lip crop: indices ``[T, 3]``."""
    room = 64
    side = cv2.Subdiv2D((-room, -room, LIP_PX + 2 * room, LIP_PX + 2 * room))
    inside = points.clip(1 - room, LIP_PX + room - 1).astype(np.float32)
    place: dict[tuple[float, float], int] = {}
    for index, (x, y) in enumerate(inside.tolist()):
        side.insert((x, y))
        place[x, y] = index
    corners = np.asarray(side.getTriangleList()).reshape(-1, 3, 2).tolist()
    known = [[place.get((x, y), -1) for x, y in triangle] for triangle in corners]
    return np.array([t for t in known if min(t) >= 0], dtype=np.int64)


@dataclass(frozen=True)
class WarpMap:
    """Where every pixel of a box comes from: float32 ``[h, w]`` each, as ``cv2.remap`` takes it."""

    x: FloatArray
    y: FloatArray

    def pull(self, picture: UInt8Array) -> UInt8Array:
        """Warp a picture; beyond its border the edge is repeated."""
        pulled = cv2.remap(
            picture, self.x, self.y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return pulled.astype(np.uint8, copy=False)


def warp_map(
    triangles: IntArray,
    source: Float64Array,
    target: Float64Array,
    rigid: Float64Array,
    box: Box,
    scale: float,
) -> WarpMap:
    """Map a box of the target so that points of the source come to those of the target.

    Triangles are drawn from the farthest to the nearest, so that a turned face hides its own far
    side, and at a coarse grid; only what the map adds to ``rigid`` is smoothed.

    Args:
        triangles: int64 ``[T, 3]``.
        source: ``[P, 3]``.
        target: ``[P, 3]``.
        rigid: float64 ``[2, 3]``, target to source where nothing is deformed.
        box: of the target.
        scale: pixels of the frame per pixel of the lip crop.
    """
    x1, y1, x2, y2 = box
    step = max(round(2 * scale), 1)
    columns, rows = -(-(x2 - x1) // step), -(-(y2 - y1) // step)
    labels = _draw(triangles, target, (x1, y1), step, (columns, rows))
    bent = (source[:, :2] - transform_points(rigid, target[:, :2]))[triangles]
    slopes = _gradients(target[:, :2][triangles], bent)
    x = (np.arange(columns) + 0.5) * step - 0.5 + x1
    y = ((np.arange(rows) + 0.5) * step - 0.5 + y1)[:, None]
    found = slopes[labels]  # [rows, columns, 2, 3]
    flow = found[..., 0] * x[:, None] + found[..., 1] * y[..., None] + found[..., 2]
    # Slivers, as at the corners of closed lips, are drawn over pixels that lie beside them.
    nothing = np.zeros((1, 2))
    least, most = (np.concatenate([end(axis=1), nothing]) for end in (bent.min, bent.max))
    flow = flow.clip(least[labels], most[labels])
    sigma = max(_SMOOTHING_PX * scale / step, 0.3)
    smooth = cv2.GaussianBlur(flow.astype(np.float32), (0, 0), sigma)
    whole = cv2.resize(smooth, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    added = whole[: y2 - y1, : x2 - x1].astype(np.float32, copy=False)
    columns_px = np.arange(x1, x2, dtype=np.float32)
    rows_px = np.arange(y1, y2, dtype=np.float32)[:, None]
    (a, b, c), (d, e, f) = rigid.astype(np.float32)
    return WarpMap(
        added[..., 0] + (a * columns_px + b * rows_px + c),
        added[..., 1] + (d * columns_px + e * rows_px + f),
    )


def between_crops(target_to_lips: Float64Array, source_to_lips: Float64Array) -> Float64Array:
    """Take pixels of one frame to those of another that lie at the same place of the head."""
    return compose_affine(invert_affine(source_to_lips), target_to_lips)


def _draw(
    triangles: IntArray,
    target: Float64Array,
    origin: tuple[int, int],
    step: int,
    size: tuple[int, int],
) -> IntArray:
    """Number of the triangle at every point of a coarse grid; ``T`` (nothing moves) beyond all."""
    corners = target[triangles]
    first, second = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    areas = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    seen = np.flatnonzero(np.abs(areas) > 1e-3)
    order = seen[np.argsort(-corners[seen, :, 2].mean(axis=1), kind="stable")]
    placed = (corners[..., :2] - origin + 0.5) / step - 0.5
    fixed = np.rint(placed * 16).astype(np.int32)
    labels = np.full((size[1], size[0]), len(triangles), dtype=np.int16)
    for number in order.tolist():
        cv2.fillConvexPoly(labels, fixed[number], number, shift=4)
    return labels.astype(np.int64)


def _gradients(corners: Float64Array, values: Float64Array) -> Float64Array:
    """Linear functions through the values at triangles' corners.

    Args:
        corners: ``[T, 3, 2]``.
        values: ``[T, 3, 2]``.

    Returns:
        ``[T + 1, 2, 3]``: slopes along x and y and value at the origin; the last one is zero.
    """
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) < 1e-3, 1e-3, area)[:, None]
    one, two = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    along_x = (one * second[:, 1:] - two * first[:, 1:]) / area
    along_y = (two * first[:, :1] - one * second[:, :1]) / area
    base = values[:, 0] - along_x * corners[:, 0, :1] - along_y * corners[:, 0, 1:]
    found = np.stack([along_x, along_y, base], axis=-1)
    return np.concatenate([found, np.zeros((1, 2, 3))])
