"""Five measures of the lips that speech decides: opening, width, jaw, lower lip and pucker.

They are lengths in space over the distance of the eyes, taken from 68 landmarks with depth, so that
neither the pose of the head nor the size of the picture changes them. ``F`` counts frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retalking.coefficients.basis import LOWER_LIP, UPPER_LIP, fit_pose
from retalking.face.landmark_crop import LEFT_EYE, RIGHT_EYE
from retalking.types import Float64Array

OPENING, WIDTH, JAW, LOWER_LIP_DROP, PUCKER = range(5)
"""Columns of ``measure_lips`` and of everything that speech says about lips."""
SHAPE_NAMES = ("opening", "width", "jaw", "lower lip", "pucker")
_CORNERS = (48, 54)
_CHIN, _NOSE_TIP, _UNDER_LOWER_LIP, _NOSE_BASE = 8, 30, 57, 33
_BESIDE_CORNERS = (48, 54, 60, 64)


def measure_lips(points_px: NDArray[np.floating], mean_shape: NDArray[np.floating]) -> Float64Array:
    """Measure the lips of one person.

    * opening: between the inner lips, mean of three places;
    * width: from corner to corner;
    * jaw: from the tip of the nose to the chin;
    * lower lip: from the base of the nose to the lower lip's lower edge;
    * pucker: how far the corners have come forward, less half the width. Round lips ("oo") are
      narrow and their corners lie nearer to the viewer, stretched ones are wide and lie back.

    Args:
        points_px: ``[F, 68, 3]`` landmarks with depth, smaller is nearer.
        mean_shape: ``[68, 3]`` of the average person (``ExpressionBasis.mean_shape``), which tells
            the pose of the head by points that speech does not move.

    Returns:
        float64 ``[F, 5]`` in distances between the centres of the eyes.
    """
    points = np.asarray(points_px, np.float64)

    def length(a: int, b: int) -> Float64Array:
        span: Float64Array = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
        return span

    eyes = points[:, LEFT_EYE].mean(axis=1) - points[:, RIGHT_EYE].mean(axis=1)
    eye_distance = np.maximum(np.linalg.norm(eyes, axis=-1), 1e-6)
    gaps = points[:, UPPER_LIP] - points[:, LOWER_LIP]
    opening = np.linalg.norm(gaps, axis=-1).mean(axis=1)
    width = length(*_CORNERS)
    pose = fit_pose(points, mean_shape)
    forward = -pose.normalise(points)[:, _BESIDE_CORNERS, 2].mean(axis=1) * pose.scale_px
    measures = np.stack(
        [
            opening,
            width,
            length(_CHIN, _NOSE_TIP),
            length(_UNDER_LOWER_LIP, _NOSE_BASE),
            forward - width / 2,
        ],
        axis=1,
    )
    relative: Float64Array = measures / eye_distance[:, None]
    return relative
