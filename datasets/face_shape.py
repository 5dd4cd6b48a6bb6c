"""What a face's landmarks say about its lips and its pose. ``F`` counts frames."""

from __future__ import annotations

import numpy as np

from retalking.alignment import transform_points
from retalking.face_crop import LEFT_EYE, RIGHT_EYE
from retalking.geometry import LIP_PX
from retalking.types import FaceTrack, Float64Array, FloatArray

_INNER_LIPS_UP, _INNER_LIPS_DOWN = (61, 62, 63), (67, 66, 65)
_STEADY = slice(27, 48)
"""Nose and eyes, which speech does not move."""


def lip_opening(landmarks_px: FloatArray, depth_px: FloatArray | None) -> FloatArray:
    """Measure how far the inner lips are apart, in distances between the eyes.

    With depth, both lengths are taken in space, so that turning the head changes neither.

    Args:
        landmarks_px: ``[F, 68, 2]``.
        depth_px: ``[F, 68]``, or ``None`` to measure in the plane.

    Returns:
        float32 ``[F]``, about 0 (closed) to 0.5.
    """
    depth = np.zeros(landmarks_px.shape[:2]) if depth_px is None else depth_px
    points = np.concatenate([landmarks_px, depth[..., None]], axis=-1).astype(np.float64)
    gaps = points[:, _INNER_LIPS_UP] - points[:, _INNER_LIPS_DOWN]
    eyes = points[:, LEFT_EYE].mean(axis=1) - points[:, RIGHT_EYE].mean(axis=1)
    span = np.maximum(np.linalg.norm(eyes, axis=-1), 1e-6)
    return (np.linalg.norm(gaps, axis=-1).mean(axis=1) / span).astype(np.float32)


def describe_pose(track: FaceTrack, lip_crops: Float64Array) -> FloatArray:
    """Where nose and eyes are in the lip crop: near for heads in the same pose.

    Returns:
        float32 ``[F, 42]`` in shares of the crop's side.
    """
    points = transform_points(lip_crops, track.landmarks_px[:, _STEADY].astype(np.float64))
    return (points / LIP_PX).reshape(len(track), -1).astype(np.float32)
