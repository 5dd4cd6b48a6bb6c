"""A talking head made by formulas: its landmarks from the shipped basis, its pictures drawn.

Lips move by the average effect of an opening mouth, the head turns to and fro. ``F`` frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.coefficients.basis import ExpressionBasis
from retalking.types import FaceTrack, IntArray, UInt8Array, VideoAnalysis
from tests.faces import make_analysis, make_track

BASIS = ExpressionBasis.from_file()
SIZE_PX = (240, 240)
CENTER_PX = (120.0, 110.0)


def openings(frames: int) -> NDArray[np.float64]:
    """Gaps of the lips from closed to wide open and back, in shape units."""
    return 0.15 * (1 - np.cos(2 * np.pi * np.arange(frames) / 16))


def turns(frames: int, yaw_deg: float = 6.0) -> NDArray[np.float64]:
    """Yaw in radians."""
    return np.deg2rad(yaw_deg) * np.sin(2 * np.pi * np.arange(frames) / 25)


def talking_points(
    gaps: NDArray[np.float64], yaw: NDArray[np.float64], scale_px: float = 38.0
) -> NDArray[np.float64]:
    """Landmarks with depth ``[F, 68, 3]`` in pixels."""
    shapes = BASIS.mean_shape + gaps[:, None, None] * BASIS.opening.astype(np.float64)
    cos, sin, zero, one = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    rotation = np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).reshape(-1, 3, 3)
    points = scale_px * np.einsum("fij,fnj->fni", rotation, shapes)
    points[..., :2] += CENTER_PX
    return points


def track_of(points: NDArray[np.float64], shot_id: list[int] | None = None) -> FaceTrack:
    """Track of landmarks with depth."""
    track = make_track(points[..., :2], shot_id=shot_id)
    return dataclasses.replace(track, depth_px=points[..., 2].astype(np.float32))


def analysis_of(points: NDArray[np.float64], shot_id: list[int] | None = None) -> VideoAnalysis:
    """First pass of a video with such landmarks."""
    return make_analysis(track_of(points, shot_id))


def draw(points: NDArray[np.float64], brightness: float = 1.0) -> UInt8Array:
    """Picture ``[240, 240, 3]``: grained skin, red lips, dark inside, on a striped wall."""
    height, width = SIZE_PX
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[:] = (60, 80, 100)
    picture[:, ::8] = (90, 110, 130)
    flat = points[:, :2]
    forehead = flat[17:27] - (0, 25)
    for outline, color in (
        (np.concatenate([flat[:17], forehead]), (205, 160, 135)),
        (flat[48:60], (170, 70, 75)),
        (flat[60:68], (30, 10, 10)),
    ):
        hull = cv2.convexHull(outline.astype(np.float32))
        cv2.fillConvexPoly(picture, np.rint(hull * 16).astype(np.int32), color, cv2.LINE_AA, 4)
    grain = np.random.default_rng(0).normal(0, 3, picture.shape)
    return (picture * brightness + grain).clip(0, 255).astype(np.uint8)


class DrawnSource:
    """Stands for a ``Source``; remembers what was read."""

    def __init__(self, pictures: list[UInt8Array]) -> None:
        self.pictures = pictures
        self.read: list[int] = []
        height, width = pictures[0].shape[:2]
        self.info = SimpleNamespace(width_px=width, height_px=height)

    def read_parts(
        self, indices: IntArray, pts: IntArray, parts_px: list[tuple[int, int, int, int]]
    ) -> Iterator[UInt8Array]:
        for index, (x1, y1, x2, y2) in zip(indices.tolist(), parts_px, strict=True):
            self.read.append(index)
            yield self.pictures[index][y1:y2, x1:x2]
