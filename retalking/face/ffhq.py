"""The FFHQ crop: an upright square around eyes and mouth.

The square is called a quad: upper left, lower left, lower right and upper right corner, ``(x, y)``
in pixels. Cutting it out is a similarity transform, so crop and paste keep sub-pixel accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retalking.face.affine import Picture, fit_similarity, warp_inside
from retalking.ibug68 import MOUTH_CORNERS, eye_centers
from retalking.types import Float64Array, IntArray


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


def quad_to_affine(quad_px: Float64Array, size_px: int) -> Float64Array:
    """Transform that cuts quads out of the frame.

    Args:
        quad_px: ``[..., 4, 2]``.
        size_px: side of the crop.

    Returns:
        float64 ``[..., 2, 3]``, frame to crop. A quad's corners land on the outer corners of the
        crop's corner pixels.
    """
    corners = np.array([(0, 0), (0, size_px), (size_px, size_px), (size_px, 0)]) - 0.5
    return fit_similarity(quad_px, corners)


def crop_quad(image: Picture, quad_px: Float64Array, size_px: int) -> Picture:
    """Cut one quad out of an image; what lies outside the image is black.

    Args:
        image: uint8 or float32 ``[H, W, 3]``.
        quad_px: ``[4, 2]``.
        size_px: side of the crop.

    Returns:
        ``[size_px, size_px, 3]``; uint8 is rounded.
    """
    crop, inside = warp_inside(image, quad_to_affine(quad_px, size_px), (size_px, size_px))
    crop[~inside] = 0
    return crop


def quad_box(quad_px: Float64Array, width_px: int, height_px: int) -> IntArray:
    """Bounding box of quads within the frame.

    Upstream clips the lower edge by the frame's *width*, which cuts chins off portrait video; here
    it is clipped by the height.

    Args:
        quad_px: ``[..., 4, 2]``.
        width_px: of the frame.
        height_px: of the frame.

    Returns:
        int64 ``[..., 4]``: x1, y1, x2, y2; rows y1 .. y2 - 1 and columns x1 .. x2 - 1 are inside.
    """
    low = quad_px.min(axis=-2) + 0.5
    high = quad_px.max(axis=-2) + 0.5
    box = np.concatenate([low, high], axis=-1)
    limits = (width_px, height_px, width_px, height_px)
    return np.clip(box, 0, limits).astype(np.int64)


def _turn_right(vector: Float64Array) -> Float64Array:
    """Turn vectors ``[..., 2]`` by 90 degrees from x to y (clockwise on screen)."""
    return vector[..., ::-1] * (-1, 1)


def _length(vector: Float64Array) -> Float64Array:
    length: Float64Array = np.linalg.norm(vector, axis=-1, keepdims=True)
    return length
