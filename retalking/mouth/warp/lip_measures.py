"""Lips as five numbers, in the head's own frame.

They are lengths in the unit of a normalised shape (see ``HeadPose``), so that neither the size of
the face in the picture nor the turn of the head enters.
"""

from __future__ import annotations

import numpy as np

from retalking.ibug68 import (
    CHIN_TIP,
    LOWER_INNER_LIP,
    LOWER_LIP_RIM,
    MOUTH_CORNERS,
    NOSE_BASE_MIDDLE,
    NOSE_TIP,
    UPPER_INNER_LIP,
)
from retalking.types import Float64Array

OPENING, WIDTH, JAW, LOWER_LIP, PUCKER = range(5)
"""Columns: gap of the inner lips, distance of the corners, chin below the nose's tip, lower lip
below the nose, and how much of both lips is seen, from edge to edge without the gap. Lips that are
pushed forward turn their red outward; how far forward they stand is not seen from the front."""
NUM_MEASURES = 5

_UPPER_OUTER, _LOWER_OUTER = [50, 51, 52], [58, 57, 56]
_WIDEST = 1.4  # gap of one pair of inner points over the mean of all, at most
_UPPER_SHARE = 0.35  # of a correction that the upper lip makes


def measure_lips(shapes: Float64Array) -> Float64Array:
    """Measure normalised shapes.

    Args:
        shapes: ``[..., 68, 3]``; ``z`` points away from the camera.

    Returns:
        ``[..., 5]``.
    """
    height = shapes[..., 1]
    opening = (height[..., LOWER_INNER_LIP] - height[..., UPPER_INNER_LIP]).mean(axis=-1)
    width = _distance(shapes, *MOUTH_CORNERS)
    jaw = _distance(shapes, CHIN_TIP, NOSE_TIP)
    lower_lip = _distance(shapes, LOWER_LIP_RIM, NOSE_BASE_MIDDLE)
    red = (height[..., _LOWER_OUTER] - height[..., _UPPER_OUTER]).mean(axis=-1) - opening
    return np.stack([opening, width, jaw, lower_lip, red], axis=-1)


def meet_lips(shapes: Float64Array) -> Float64Array:
    """Let lips that are closed in the mean be closed everywhere, and none pass through the other.

    A linear model that closes a smile by its middle leaves the sides open.

    Args:
        shapes: normalised, ``[..., 68, 3]``.
    """
    height = shapes[..., 1]
    gaps = height[..., LOWER_INNER_LIP] - height[..., UPPER_INNER_LIP]
    most = _WIDEST * np.maximum(gaps.mean(axis=-1, keepdims=True), 0)
    excess = gaps - np.clip(gaps, 0, most)
    met = shapes.copy()
    for upper, lower in ((UPPER_INNER_LIP, LOWER_INNER_LIP), (_UPPER_OUTER, _LOWER_OUTER)):
        met[..., upper, 1] += _UPPER_SHARE * excess
        met[..., lower, 1] -= (1 - _UPPER_SHARE) * excess
    return met


def differentiate_measures(shape: Float64Array) -> Float64Array:
    """How the measures of one shape ``[68, 3]`` change with its coordinates: ``[5, 204]``."""
    step = 1e-4
    moved = shape.reshape(-1) + step * np.eye(shape.size)
    change = measure_lips(moved.reshape(-1, *shape.shape)) - measure_lips(shape)
    slopes: Float64Array = change.T / step
    return slopes


def _distance(shapes: Float64Array, a: int, b: int) -> Float64Array:
    length: Float64Array = np.linalg.norm(shapes[..., a, :] - shapes[..., b, :], axis=-1)
    return length
