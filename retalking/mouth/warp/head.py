"""Landmarks in space and the pose of the head in every frame, steady over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.coefficients.basis import STABLE, ExpressionBasis, HeadPose, fit_pose
from retalking.face.smoothing import smooth_track
from retalking.types import FaceTrack, Float64Array, FloatArray, IntArray

_POINT_WINDOW = 5  # frames of the Savitzky-Golay filter over landmarks


@dataclass(frozen=True)
class Head:
    """A head through a video; rows of frames without a face mean nothing.

    Attributes:
        pose: similarity from normalised shapes to the frame.
        angles: float64 ``[F, 3]`` pitch, yaw, roll in radians.
    """

    pose: HeadPose
    angles: Float64Array

    def shapes(self, points_px: FloatArray, rows: IntArray) -> Float64Array:
        """Return the normalised shapes ``[R, 68, 3]`` of some frames, with landmarks of all."""
        return pose_rows(self.pose, rows).normalise(points_px[rows])

    def place(self, shapes: Float64Array, rows: IntArray) -> Float64Array:
        """Put normalised shapes ``[R, 68, 3]`` where the head is in frames ``[R]``: pixels."""
        pose = pose_rows(self.pose, rows)
        turned = np.einsum("fij,fnj->fni", pose.rotation, shapes)
        placed: Float64Array = pose.center_px[:, None] + pose.scale_px[:, None, None] * turned
        return placed


def pose_rows(pose: HeadPose, rows: IntArray) -> HeadPose:
    """Return the poses of some frames."""
    return HeadPose(pose.rotation[rows], pose.scale_px[rows], pose.center_px[rows])


def follow_head(track: FaceTrack, basis: ExpressionBasis) -> tuple[Head, FloatArray]:
    """Smooth the landmarks of a track and fit the head's pose to those that speech leaves alone.

    Returns:
        The head, and the landmarks with depth, float32 ``[F, 68, 3]``.
    """
    depth = track.depth_px
    if depth is None:
        depth = _guess_depth(track.landmarks_px, basis)
    smooth = np.concatenate([track.landmarks_px, depth[..., None]], axis=-1)
    smooth = smooth_track(smooth, track.detected, track.shot_id, _POINT_WINDOW)
    smooth[~track.detected] = basis.mean_shape  # a pose of no meaning, but one that can be fitted
    pose = fit_pose(smooth, basis.mean_shape)
    return Head(pose, pose.angles_rad.astype(np.float64)), smooth


def _guess_depth(landmarks_px: FloatArray, basis: ExpressionBasis) -> FloatArray:
    """Depth ``[F, 68]`` of the average face in the pose that plane landmarks show.

    The head is seen from afar: a linear map takes the stable points of the average face to the
    picture, and its rows, made orthogonal, are two rows of a rotation.
    """
    mean = basis.mean_shape.astype(np.float64)
    stable = mean[list(STABLE)]
    seen = landmarks_px[:, list(STABLE)].astype(np.float64)
    centred = stable - stable.mean(axis=0)
    linear = np.einsum("kn,fnj->fjk", np.linalg.pinv(centred), seen - seen.mean(1, keepdims=True))
    left, strengths, right = np.linalg.svd(linear, full_matrices=False)
    rows = left @ right
    scale = strengths.mean(axis=1)
    away = np.cross(rows[:, 0], rows[:, 1])
    depth = scale[:, None] * np.einsum("fk,nk->fn", away, mean)
    return (depth - depth.mean(axis=1, keepdims=True)).astype(np.float32)
