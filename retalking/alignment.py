"""Similarity transforms between faces and the templates that networks expect.

A transform is a float64 ``[2, 3]`` matrix that takes pixel centres ``(x, y)`` of the source to the
target, ready for ``cv2.warpAffine``. Leading ``...`` axes are batches.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.types import BoolArray, Float64Array, UInt8Array

FFHQ_POINTS_512: Float64Array = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Left eye, right eye, nose tip, mouth corners in GFPGAN's 512 px face."""

# Average face of a 96 x 112 crop. GPEN makes it square (8 px left and right), pads by 25 % (28 px on
# each side) and scales to 512 px.
_CROP_96_112 = np.array(
    [
        (30.29459953, 51.69630051),
        (65.53179932, 51.50139999),
        (48.02519989, 71.73660278),
        (33.54930115, 92.3655014),
        (62.72990036, 92.20410156),
    ]
)
GPEN_POINTS_512: Float64Array = ((*_CROP_96_112, 8 + 28, 28)) * 512 / (112 + 2 * 28)
"""Left eye, right eye, nose tip, mouth corners in GPEN's 512 px face."""


def five_points(landmarks_px: NDArray[np.floating]) -> Float64Array:
    """Reduce iBUG landmarks to eye centres, nose tip and mouth corners.

    An eye's centre is the mean of its two corners: lids move, corners do not.

    Args:
        landmarks_px: ``[..., 68, 2]``.

    Returns:
        float64 ``[..., 5, 2]``.
    """
    points = np.asarray(landmarks_px, dtype=np.float64)
    left_eye = points[..., [36, 39], :].mean(axis=-2, keepdims=True)
    right_eye = points[..., [42, 45], :].mean(axis=-2, keepdims=True)
    return np.concatenate([left_eye, right_eye, points[..., [30, 48, 54], :]], axis=-2)


def fit_similarity(
    source_px: NDArray[np.floating], target_px: NDArray[np.floating]
) -> Float64Array:
    """Fit rotation, one scale and translation by least squares, without reflection.

    In the plane, Umeyama's solution has a closed form: with points as complex numbers about their
    means, scale and rotation are the regression coefficient of target on source.

    Args:
        source_px: ``[..., N, 2]``, at least two distinct points.
        target_px: ``[..., N, 2]``, broadcast against the source.

    Returns:
        float64 ``[..., 2, 3]``.
    """
    source = np.asarray(source_px, dtype=np.float64)
    target = np.asarray(target_px, dtype=np.float64)
    source_mean = source.mean(axis=-2, keepdims=True)
    target_mean = target.mean(axis=-2, keepdims=True)
    s, t = source - source_mean, target - target_mean
    power = (s**2).sum(axis=(-2, -1))
    if np.any(power == 0):
        raise ValueError("fit_similarity: all source points coincide, expected two distinct ones")
    cosine = (s * t).sum(axis=(-2, -1)) / power
    sine = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(axis=-1) / power
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=-2)
    shift = target_mean.swapaxes(-2, -1) - linear @ source_mean.swapaxes(-2, -1)
    return np.concatenate([linear, shift], axis=-1)


def invert_affine(matrix: Float64Array) -> Float64Array:
    """Invert affine transforms ``[..., 2, 3]``."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def compose_affine(outer: Float64Array, inner: Float64Array) -> Float64Array:
    """Transform ``[..., 2, 3]`` that applies ``inner`` first and ``outer`` to its result."""
    linear = outer[..., :2] @ inner[..., :2]
    return np.concatenate([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], axis=-1)


def transform_points(matrix: Float64Array, points_px: NDArray[np.floating]) -> Float64Array:
    """Apply transforms ``[..., 2, 3]`` to points ``[..., N, 2]``."""
    moved: Float64Array = points_px @ matrix[..., :2].swapaxes(-2, -1) + matrix[..., None, :, 2]
    return moved


def warp_inside(
    image: UInt8Array, matrix: Float64Array, size_px: tuple[int, int]
) -> tuple[UInt8Array, BoolArray]:
    """Warp an image and tell which result pixels lie within it.

    Result pixels within the image's half-pixel rim repeat its edge instead of fading to black, so a
    face cut at the frame border keeps its colours.

    Args:
        image: uint8 ``[H, W, C]``.
        matrix: ``[2, 3]``, image to result.
        size_px: width and height of the result.

    Returns:
        uint8 ``[height, width, C]``, edge pixels repeated outside, and bool ``[height, width]``.
    """
    height, width = image.shape[:2]
    warped = cv2.warpAffine(
        image, matrix, size_px, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    grid = np.stack(np.meshgrid(np.arange(size_px[0]), np.arange(size_px[1])), axis=-1)
    source = transform_points(invert_affine(matrix), grid.reshape(-1, 2).astype(np.float64)) + 0.5
    inside = ((source >= 0) & (source < (width, height))).all(axis=-1)
    return warped.astype(np.uint8, copy=False), inside.reshape(size_px[1], size_px[0])
