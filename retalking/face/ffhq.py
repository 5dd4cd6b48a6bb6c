"""The FFHQ crop: an upright square around eyes and mouth.

The square is called a quad: upper left, lower left, lower right and upper right corner, ``(x, y)``
in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retalking.ibug68 import MOUTH_CORNERS, eye_centers
from retalking.types import Float64Array


def ffhq_quad(landmarks_px: NDArray[np.number]) -> Float64Array:
    """Place the square of the FFHQ data set over a face.

    Its axes follow the line between the eyes and, turned by 90 degrees, the line from eyes to
    mouth; its half side is the larger of 2 eye distances and 1.8 eye-to-mouth distances.

    Args:
        landmarks_px: ``[..., 68, 2]`` in the iBUG order.

    Returns:
        float64 ``[..., 4, 2]``.
    """
    points = np.asarray(landmarks_px, dtype=np.float64)
    left_eye, right_eye = eye_centers(points)  # in the picture
    eyes = (left_eye + right_eye) / 2
    across = right_eye - left_eye
    down = points[..., MOUTH_CORNERS, :].mean(axis=-2) - eyes
    direction = across - _turn_right(down)
    half_side = np.maximum(2 * _length(across), 1.8 * _length(down))
    x = direction / _length(direction) * half_side
    y = _turn_right(x)
    centre = eyes + 0.1 * down
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y], axis=-2)


def _turn_right(vector: Float64Array) -> Float64Array:
    """Turn vectors ``[..., 2]`` by 90 degrees from x to y (clockwise on screen)."""
    return vector[..., ::-1] * (-1, 1)


def _length(vector: Float64Array) -> Float64Array:
    length: Float64Array = np.linalg.norm(vector, axis=-1, keepdims=True)
    return length
