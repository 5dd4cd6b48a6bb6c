"""Similarity transforms between faces and the templates that networks expect.

A transform is a float64 ``[2, 3]`` matrix that takes pixel centres ``(x, y)`` of the source to the
target, as ``cv2.warpAffine`` takes it. Leading ``...`` axes are batches.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retalking.types import Float64Array, FloatArray, UInt8Array
from third_party.arcface import ARCFACE_POINTS_112

Picture = TypeVar("Picture", UInt8Array, FloatArray)

FFHQ_POINTS_512: Float64Array = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Right eye, left eye, nose tip, mouth corners in GFPGAN's 512 px face."""

# GPEN pads ArcFace's face by a quarter (28 px on each side) and scales it to 512 px.
GPEN_POINTS_512: Float64Array = (np.array(ARCFACE_POINTS_112) + 28) * 512 / (112 + 2 * 28)
"""Right eye, left eye, nose tip, mouth corners in GPEN's 512 px face."""


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
