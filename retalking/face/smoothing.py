"""Temporal smoothing of boxes and landmarks, shot by shot.

``F`` counts the frames of a video. A filter that looked across a cut would drag one face towards
another, so every function here takes the shot of each frame and treats shots on their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from retalking.arrays import scratch
from retalking.types import BoolArray, Float64Array, FloatArray, IntArray


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
    smooth = scratch.take(values, slice(None))
    for shot in _runs(shot_id):
        for run in _runs(detected[shot]):
            rows = slice(shot.start + run.start, shot.start + run.stop)
            length = run.stop - run.start
            fitting = min(window, length - 1 + length % 2)
            if detected[rows.start] and fitting > order + 1:
                _filter(values[rows], smooth[rows], fitting, order)
    return smooth


def _filter(values: FloatArray, smooth: FloatArray, window: int, order: int) -> None:
    """Write ``savitzky_golay`` of ``[N, ...]`` into ``smooth``, block by block."""
    count, radius = len(values), window // 2
    size = max(scratch.BLOCK_FRAMES, window)
    starts = range(0, max(count - size, 1), size)
    for start in starts:
        stop = count if start == starts[-1] else start + size
        low, high = max(start - radius, 0), min(stop + radius, count)
        block = savitzky_golay(values[low:high].astype(np.float64), window, order)
        smooth[start:stop] = block[start - low : stop - low]
        scratch.let_go()


def savitzky_golay(values: Float64Array, window: int, order: int) -> Float64Array:
    """Replace each value by that of the polynomial fitted to the window around it.

    The first and last window are fitted once, for the values at the ends too. The same as
    ``scipy.signal.savgol_filter``, whose import takes half a second.

    Args:
        values: float64 ``[N, ...]``, at least ``window``.
        window: odd.
        order: degree of the polynomial, less than ``window``.
    """
    radius = window // 2
    fit = polynomial_fit(np.arange(window) - radius, order)
    inner = np.lib.stride_tricks.sliding_window_view(values, window, axis=0) @ fit[radius]
    first = np.tensordot(fit[:radius], values[:window], axes=1)
    last = np.tensordot(fit[radius + 1 :], values[-window:], axes=1)
    return np.concatenate([first, inner, last])


def polynomial_fit(positions: IntArray, order: int) -> Float64Array:
    """Return the matrix that takes values at ``positions`` ``[N]`` to a fitted polynomial's."""
    powers = np.vander(positions, order + 1, increasing=True).astype(np.float64)
    fit: Float64Array = powers @ np.linalg.pinv(powers)
    return fit


def _runs(labels: IntArray | BoolArray) -> Iterator[slice]:
    """Yield the slices over which the labels stay the same."""
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    edges = [0, *changes.tolist(), len(labels)] if len(labels) else []
    for start, stop in itertools.pairwise(edges):
        yield slice(start, stop)
