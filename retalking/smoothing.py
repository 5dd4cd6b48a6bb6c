"""Temporal smoothing of boxes and landmarks, shot by shot.

``F`` counts the frames of a video. A filter that looked across a cut would drag one face towards
another, so every function here takes the shot of each frame and treats shots on their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.signal import savgol_filter

from retalking.types import BoolArray, FloatArray, IntArray


def bridge_gaps(
    values: FloatArray, detected: BoolArray, shot_id: IntArray, max_gap: int
) -> tuple[FloatArray, BoolArray]:
    """Fill short gaps of a track by linear interpolation.

    Only gaps between two detected frames of the same shot are filled; what precedes the first or
    follows the last detection of a shot is unknown and stays so.

    Args:
        values: float32 ``[F, ...]``; rows of undetected frames are ignored.
        detected: bool ``[F]``.
        shot_id: int64 ``[F]``.
        max_gap: longest gap to fill, in frames.

    Returns:
        The values with the gaps filled, and bool ``[F]`` that is true for detected and filled rows.
    """
    filled, known = values.copy(), detected.copy()
    for shot in _runs(shot_id):
        seen = shot.start + np.flatnonzero(detected[shot])
        for left, right in itertools.pairwise(seen):
            if 1 < right - left <= max_gap + 1:
                share = np.linspace(0, 1, right - left + 1)[1:-1]
                share = share.reshape(-1, *[1] * (values.ndim - 1))
                filled[left + 1 : right] = (1 - share) * values[left] + share * values[right]
                known[left + 1 : right] = True
    return filled, known


def smooth_track(
    values: FloatArray,
    detected: BoolArray,
    shot_id: IntArray,
    window: int = 7,
    order: int = 2,
) -> FloatArray:
    """Apply a Savitzky-Golay filter over time (paper, section 3.2, to the landmarks).

    The filter restarts at every cut and after every gap. A run shorter than the window gets the
    longest odd window that fits, and stays as it is where the polynomial would pass through every
    point anyway.

    Args:
        values: float32 ``[F, ...]``.
        detected: bool ``[F]``; rows that are false are left alone and used for nothing.
        shot_id: int64 ``[F]``.
        window: frames of the filter, odd.
        order: degree of the polynomial, less than ``window``.

    Returns:
        float32 ``[F, ...]``.
    """
    if window % 2 == 0 or not 0 <= order < window:
        raise ValueError(
            f"smooth_track: got window {window} and order {order}, expected an odd window and "
            "0 <= order < window"
        )
    smooth = values.copy()
    for shot in _runs(shot_id):
        for run in _runs(detected[shot]):
            rows = slice(shot.start + run.start, shot.start + run.stop)
            length = run.stop - run.start
            fitting = min(window, length - 1 + length % 2)
            if detected[rows.start] and fitting > order + 1:
                smooth[rows] = savgol_filter(
                    values[rows].astype(np.float64), fitting, order, axis=0, mode="interp"
                )
    return smooth


def _runs(labels: IntArray | BoolArray) -> Iterator[slice]:
    """Yield the slices over which the labels stay the same."""
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    edges = [0, *changes.tolist(), len(labels)] if len(labels) else []
    for start, stop in itertools.pairwise(edges):
        yield slice(start, stop)
