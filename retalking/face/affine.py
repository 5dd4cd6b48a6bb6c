"""Similarity transforms between faces and the templates that networks expect.

A transform is a float64 ``[2, 3]`` matrix that takes pixel centres ``(x, y)`` of the source to the
target, as ``cv2.warpAffine`` takes it. Leading ``...`` axes are batches.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from retalking.types import BoolArray, Float64Array, FloatArray, UInt8Array
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


def warp_inside(
    image: Picture, matrix: Float64Array, size_px: tuple[int, int]
) -> tuple[Picture, BoolArray]:
    """Warp an image bilinearly and tell which result pixels lie within it.

    OpenCV's ``warpAffine`` rounds positions to 1/32 px, which makes slowly moving crops tremble at
    strong edges; here they stay exact.

    Args:
        image: uint8 or float32 ``[H, W, C]``.
        matrix: ``[2, 3]``, image to result.
        size_px: width and height of the result.

    Returns:
        ``[height, width, C]`` of the image's type, edge pixels repeated outside, uint8 rounded; and
        bool ``[height, width]``.
    """
    height, width = image.shape[:2]
    columns, rows = np.arange(size_px[0]), np.arange(size_px[1])[:, None]
    x, y = (to_x * columns + to_y * rows + shift for to_x, to_y, shift in invert_affine(matrix))
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    # Only the part that is read is converted: a face is small in a 4K frame.
    left, right = _read_range(x, width)
    top, bottom = _read_range(y, height)
    part = torch.from_numpy(image[top:bottom, left:right].astype(np.float32)).permute(2, 0, 1)
    # grid_sample counts from -1 at the first pixel's outer edge to 1 at the last one's.
    position = np.stack(
        [(2 * (x - left) + 1) / (right - left) - 1, (2 * (y - top) + 1) / (bottom - top) - 1],
        axis=-1,
        dtype=np.float32,
        casting="same_kind",
    )
    warped = grid_sample(
        part[None], torch.from_numpy(position)[None], padding_mode="border", align_corners=False
    )
    pixels = warped[0].permute(1, 2, 0).numpy()
    if image.dtype == np.uint8:
        pixels = np.rint(pixels)
    return pixels.astype(image.dtype), inside


def _read_range(position: Float64Array, size_px: int) -> tuple[int, int]:
    """First and end index of the pixels that bilinear reading at the positions touches."""
    ends = np.clip([np.floor(position.min()), np.ceil(position.max())], 0, size_px - 1)
    return int(ends[0]), int(ends[1]) + 1
