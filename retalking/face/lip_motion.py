"""Landmarks over time as numbers: how lips move, and what moves beside them.

Points are ``[F, 68, 3]`` in pixels with depth, in the iBUG order; ``F`` counts frames. Lengths are
taken in space, so that turning the head changes none of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retalking.ibug68 import BESIDE_MOUTH, OUTER_EYE_CORNERS
from retalking.types import Float64Array, FloatArray

_CLOSED_PERCENTILE, _OPEN_PERCENTILE = 5, 95


def displacement(points_px: FloatArray, source_px: FloatArray) -> Float64Array:
    """Measure how far landmarks outside the mouth are from where the source has them.

    Returns:
        float64 ``[F]``, mean over points in the plane, in distances of the source's outer eye
        corners.
    """
    moved = (points_px - source_px)[:, BESIDE_MOUTH, :2]
    left, right = (source_px[:, corner, :2] for corner in OUTER_EYE_CORNERS)
    span = np.maximum(np.linalg.norm(left - right, axis=-1), 1e-6)
    return np.linalg.norm(moved, axis=-1).mean(axis=1) / span


def correlate(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson correlation of two curves ``[F]``; 0 if one of them does not move."""
    a, b = (curve.astype(np.float64) for curve in (a, b))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def late_frames(made: NDArray[np.floating], new: NDArray[np.floating], latest: int) -> int:
    """Frames by which a curve ``[F]`` comes later than another, by correlation."""

    def fit(late: int) -> float:
        ahead, behind = max(late, 0), max(-late, 0)
        return correlate(made[ahead : len(made) - behind], new[behind : len(new) - ahead])

    return max(range(-latest, latest + 1), key=fit)


def deviation_ratio(made: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Standard deviation of a curve ``[F]`` over that of the true one."""
    return float(made.std() / max(float(true.std()), 1e-6))


def share_open(openings: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Place the mean of some openings in the range of a clip's true ones.

    Returns:
        0 where the clip's lips are closest together (5th percentile), 1 where they are farthest
        apart (95th percentile); not limited to these.
    """
    low, high = np.percentile(true, (_CLOSED_PERCENTILE, _OPEN_PERCENTILE))
    return float((openings.mean() - low) / max(float(high - low), 1e-6))


def shift_by_half(times_s: Float64Array) -> Float64Array:
    """Exchange the halves of moments ``[F]``: each frame hears what is half a clip away."""
    return np.roll(times_s, -(len(times_s) // 2))
