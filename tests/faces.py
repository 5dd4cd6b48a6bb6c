"""Landmarks of a face drawn by formulas, and the values of the first pass built from them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retalking.face.crops import stabiliser_crops
from retalking.types import FaceCoefficients, FaceTrack, VideoAnalysis, VideoInfo


def frontal_landmarks(eye_distance_px: float = 60.0, roll_deg: float = 0.0) -> NDArray[np.float64]:
    """68 iBUG points of an upright, symmetric face about the middle of its eyes at (0, 0)."""
    points = np.zeros((68, 2))
    jaw = np.pi * (1 - np.arange(17) / 16)
    points[0:17] = np.column_stack([1.1 * np.cos(jaw), 0.1 + 1.7 * np.sin(jaw)])
    brow = np.linspace(-0.3, 0.3, 5)
    points[17:22] = np.column_stack([brow - 0.5, -0.35 + 0.5 * brow**2])
    points[22:27] = np.column_stack([brow + 0.5, -0.35 + 0.5 * brow**2])
    points[27:31, 1] = np.linspace(0.05, 0.5, 4)
    nostrils = np.linspace(-0.2, 0.2, 5)
    points[31:36] = np.column_stack([nostrils, 0.69 - nostrils**2])
    eye = np.deg2rad([180, 240, 300, 0, 60, 120])
    points[36:42] = np.column_stack([0.18 * np.cos(eye) - 0.5, 0.07 * np.sin(eye)])
    points[42:48] = np.column_stack([0.18 * np.cos(eye) + 0.5, 0.07 * np.sin(eye)])
    outer = np.pi + 2 * np.pi * np.arange(12) / 12
    points[48:60] = np.column_stack([0.4 * np.cos(outer), 1.15 + 0.15 * np.sin(outer)])
    inner = np.pi + 2 * np.pi * np.arange(8) / 8
    points[60:68] = np.column_stack([0.3 * np.cos(inner), 1.15 + 0.06 * np.sin(inner)])
    turn = np.deg2rad(roll_deg)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return eye_distance_px * points @ rotation


def make_track(
    landmarks_px: NDArray[np.floating],
    detected: Sequence[bool] | None = None,
    shot_id: Sequence[int] | None = None,
) -> FaceTrack:
    """Track of landmarks ``[F, 68, 2]``; as in the real one, rows without a face are zero."""
    frames = len(landmarks_px)
    seen = np.ones(frames, bool) if detected is None else np.array(detected, bool)
    points = np.where(seen[:, None, None], landmarks_px, 0).astype(np.float32)
    return FaceTrack(
        np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
        points,
        seen.astype(np.float32),
        seen,
        np.zeros(frames, np.int64) if shot_id is None else np.array(shot_id, np.int64),
    )


def make_analysis(track: FaceTrack, yaw_deg: float = 0.0) -> VideoAnalysis:
    """25 frames a second; frame ``i`` has ``i + 1`` in every coefficient but the yaw."""
    frames = len(track)
    number = np.arange(1, frames + 1, dtype=np.float32)[:, None] * track.detected[:, None]
    angle = np.repeat(number, 3, axis=1)
    angle[:, 1] = np.deg2rad(yaw_deg)
    coefficients = FaceCoefficients(
        np.repeat(number, 64, axis=1), angle, np.repeat(number, 3, 1), np.repeat(number, 3, 1)
    )
    info = VideoInfo(Path("talk.mp4"), 640, 480, 0, Fraction(1, 1000), Fraction(25), frames)
    pts = np.arange(frames, dtype=np.int64) * 40
    return VideoAnalysis(info, pts, track, stabiliser_crops(track, 25.0), coefficients)
