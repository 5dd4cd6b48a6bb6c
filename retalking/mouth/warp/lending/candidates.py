"""Frames that may lend their mouth: few enough to be held, spread over poses and lip shapes.

Candidates are short runs of frames rather than single ones, so that a lender can go on moving.
"""

from __future__ import annotations

import numpy as np

from retalking.arrays import scratch
from retalking.media.memory import MOUTHS_BYTES
from retalking.types import Float64Array, IntArray

MOST_PER_SHOT = 300
_RUN = 6  # frames


def shares_of_shots(counts: IntArray, mouth_bytes: Float64Array) -> IntArray:
    """How many candidates each shot may have.

    Args:
        counts: int64 ``[S]``, frames with a face.
        mouth_bytes: ``[S]``, what one mouth takes.

    Returns:
        int64 ``[S]``, at least one each.
    """
    wanted = np.minimum(counts, MOST_PER_SHOT)
    takes = float((wanted * mouth_bytes).sum())
    factor = min(1.0, MOUTHS_BYTES / max(takes, 1.0))
    return np.maximum((wanted * factor).astype(np.int64), 1)


def spread_candidates(frames: IntArray, features: Float64Array, most: int) -> IntArray:
    """Choose runs of frames far from one another.

    Args:
        frames: int64 ``[F]`` of one shot, increasing.
        features: ``[F, D]``, poses and shapes on comparable scales.
        most: frames to keep, at least one.

    Returns:
        int64, at most ``most`` of the frames, increasing; all of them if they are few enough.
    """
    if len(frames) <= most:
        return frames
    length = min(_RUN, most)
    starts = np.arange(0, len(frames) - length + 1, length)
    runs = features[: length * len(starts)].reshape(len(starts), -1)
    chosen = [int(_distances(runs, np.median(runs, axis=0)).argmin())]
    distance = _distances(runs, runs[chosen[0]])
    while len(chosen) < most // length:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, _distances(runs, runs[chosen[-1]]))
    kept = np.unique(starts[chosen][:, None] + np.arange(length))
    return frames[kept]


def _distances(runs: Float64Array, place: Float64Array) -> Float64Array:
    """How far each of ``[R, D]`` is from a place ``[D]``."""
    distances = np.empty(len(runs))
    for part in scratch.blocks(len(runs)):
        distances[part] = np.linalg.norm(runs[part] - place, axis=1)
    return distances
