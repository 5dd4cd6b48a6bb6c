"""The 68 landmarks of a face (iBUG order): which is which, and what is measured on them alone.

Points are ``[..., 68, 2 or 3]``, numpy or torch; what is measured has the type and unit of the
points. "Right" is the person's own right, so it lies on the left of the picture. Everything may
import this module; it imports nothing of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Points = TypeVar("Points", "NDArray[np.float32]", "NDArray[np.float64]", "Tensor")

JAW = slice(0, 17)
CHIN = slice(5, 12)
LOWER_JAW = slice(4, 13)
BROWS = slice(17, 27)
NOSE = slice(27, 36)
NOSE_BASE = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
EYES = slice(36, 48)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)
MOUTH = slice(48, 68)
BESIDE_MOUTH = slice(0, 48)
NOSE_AND_EYES = slice(27, 48)

CHIN_TIP = 8
NOSE_TIP = 30
NOSE_BASE_MIDDLE = 33
LOWER_LIP_RIM = 57
"""Middle of the lower lip's lower edge."""
OUTER_EYE_CORNERS = (36, 45)
MOUTH_CORNERS = (48, 54)
UPPER_INNER_LIP = (61, 62, 63)
"""From right to left, without the corners."""
LOWER_INNER_LIP = (67, 66, 65)
"""Each below the point of the upper lip at the same place."""
STABLE = (0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45)
"""Upper jaw, nose and eye corners: what neither speech nor a smile moves much."""
MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""Index of the point that takes each point's place when the picture is mirrored."""

_REST_OF_FIVE = ((30,), (48,), (54,))  # tip of the nose, corners of the mouth
_FIVE = (tuple(range(36, 42)), tuple(range(42, 48)), *(6 * point for point in _REST_OF_FIVE))
_FIVE_BY_CORNERS = ((36, 39), (42, 45), *(2 * point for point in _REST_OF_FIVE))
_NOTHING = 1e-6  # a length below it counts as this: a quotient stays finite, and so does a gradient


def eye_centers(points: Points) -> tuple[Points, Points]:
    """Return the centres of the right and of the left eye: means of their six lid points."""
    return points[..., RIGHT_EYE, :].mean(-2), points[..., LEFT_EYE, :].mean(-2)


def eye_distance(points: Points) -> Points:
    """Return the distance ``[...]`` of the eye centres, above zero."""
    right, left = eye_centers(points)
    return _length(left - right)


def five_points(points: Points) -> Points:
    """Reduce a face to eye centres, tip of the nose and mouth corners.

    These are the five points by which ArcFace's faces were aligned.

    Returns:
        ``[..., 5, 2 or 3]``, right ones first.
    """
    return points[..., _FIVE, :].mean(-2)


def five_points_by_corners(points: Points) -> Points:
    """As ``five_points``, but an eye is the middle between its two corners.

    Lids move, corners do not: for what must lie still in a video (the faces of the restorers), and
    for Deep3DFaceRecon, whose own reduction this is.
    """
    return points[..., _FIVE_BY_CORNERS, :].mean(-2)


def lip_opening(points: Points) -> Points:
    """Measure how far the lips are apart: what "opening" means everywhere.

    The mean distance of the three pairs of points of the inner lips, over the distance of the eye
    centres. With depth, lengths are taken in space, so that turning the head changes nothing;
    without, in the plane.

    Returns:
        ``[...]``, about 0 (closed) to 0.5.
    """
    gaps = points[..., UPPER_INNER_LIP, :] - points[..., LOWER_INNER_LIP, :]
    return _length(gaps).mean(-1) / eye_distance(points)


def mouth_width(points: Points) -> Points:
    """Measure the distance ``[...]`` of the mouth's corners, in distances of the eye centres."""
    right, left = MOUTH_CORNERS
    return _length(points[..., left, :] - points[..., right, :]) / eye_distance(points)


def _length(vectors: Points) -> Points:
    return (vectors * vectors).sum(-1).clip(min=_NOTHING**2) ** 0.5
