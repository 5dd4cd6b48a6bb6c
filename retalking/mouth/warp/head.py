"""Landmarks in space and the pose of the head in every frame, steady over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.coefficients.basis import STABLE, ExpressionBasis, HeadPose, fit_pose
from retalking.face.smoothing import smooth_track
from retalking.types import FaceTrack, Float64Array, FloatArray, IntArray

_POINT_WINDOW = 5  # frames of the Savitzky-Golay filter over landmarks
_POSE_SIZES = ((3, 3), (), (3,))  # of a frame in the arrays of ``HeadPose``


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
    points = scratch.zeros((len(track), 68, 3), np.float32)
    for rows in scratch.blocks(len(track)):
        flat = track.landmarks_px[rows]
        depth = _guess_depth(flat, basis) if track.depth_px is None else track.depth_px[rows]
        points[rows, :, :2], points[rows, :, 2] = flat, depth
    points = smooth_track(points, track.detected, track.shot_id, _POINT_WINDOW)
    points[~track.detected] = basis.mean_shape  # a pose of no meaning, but one that can be fitted
    pose = HeadPose(*(scratch.zeros((len(track), *size), np.float64) for size in _POSE_SIZES))
    angles = scratch.zeros((len(track), 3), np.float64)
    for rows in scratch.blocks(len(track)):
        found = fit_pose(points[rows], basis.mean_shape)
        pose.rotation[rows], angles[rows] = found.rotation, found.angles_rad
        pose.scale_px[rows], pose.center_px[rows] = found.scale_px, found.center_px
    return Head(pose, angles), points


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
