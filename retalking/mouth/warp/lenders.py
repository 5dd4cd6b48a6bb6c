"""Mouths of the video that can be lent, as boxes of its own frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retalking.media.source import Source
from retalking.types import Float64Array, IntArray, UInt8Array

_REACH = np.array([1.15, 1.0])  # half a box in widths of the mouth
_LIPS = slice(48, 60)


@dataclass(frozen=True)
class LentMouth:
    """Pixels around a mouth.

    Attributes:
        rgb: uint8 ``[h, w, 3]`` at the resolution of the frame.
        origin: x and y of its first pixel in the frame.
    """

    rgb: UInt8Array
    origin: tuple[int, int]


def read_mouths(
    source: Source, pts: IntArray, points_px: Float64Array, frames: IntArray
) -> Mapping[int, LentMouth]:
    """Read the mouths of some frames.

    Args:
        source: the video.
        pts: int64 ``[F]`` of it.
        points_px: ``[F, 68, 3]``.
        frames: int64, increasing.
    """
    mouths: dict[int, LentMouth] = {}
    for chunk in source.read_frames(frames, pts, 1):
        number = int(frames[chunk.start])
        mouths[number] = cut_mouth(chunk.rgb[0], points_px[number, :, :2])
    return mouths


def cut_mouth(frame: UInt8Array, landmarks_px: Float64Array) -> LentMouth:
    """Copy the box around a mouth out of a frame, as far as it lies within."""
    lips = landmarks_px[_LIPS]
    width = float(np.ptp(lips[:, 0])) + float(np.ptp(lips[:, 1])) / 2
    middle = lips.mean(axis=0)
    limit = np.array(frame.shape[1::-1])
    low = np.floor(middle - _REACH * width).astype(int).clip(0, limit - 1)
    high = (np.ceil(middle + _REACH * width).astype(int) + 1).clip(low + 1, limit)
    box = frame[low[1] : high[1], low[0] : high[0]]
    return LentMouth(box.copy(), (int(low[0]), int(low[1])))
