"""A Savitzky-Golay filter for values that arrive chunk by chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from retalking.face.smoothing import polynomial_fit
from retalking.types import Float64Array, IntArray

Payload = TypeVar("Payload")

SEEN_AROUND = 4
"""Frames on either side that a smoothed value depends on."""
_ORDER = 2


def smooth_stream(
    chunks: Iterable[tuple[Payload, Float64Array, IntArray]],
) -> Iterator[tuple[Payload, Float64Array]]:
    """Smooth values over nine frames, looking ahead as far as needed.

    Around each frame a parabola is fitted to those of the nine frames that are of its run; inside a
    run this is the Savitzky-Golay filter of the paper (section 3.1), at its ends the same fit from
    fewer frames. The result does not depend on how the frames are cut into chunks.

    Args:
        chunks: payload, values ``[T, ...]`` and run ``[T]`` of consecutive chunks.

    Yields:
        The payloads in order, each with its smoothed values ``[T, ...]``, at most four frames late;
        at once where there is nothing to smooth, values ``[T, 0]``.
    """
    pending: deque[tuple[Payload, int]] = deque()
    values: Float64Array | None = None
    runs = np.empty(0, dtype=np.int64)
    first = 0  # position in `values` of the first frame of the oldest pending chunk

    def ready(last: bool) -> Iterator[tuple[Payload, Float64Array]]:
        nonlocal values, runs, first
        while pending and values is not None:
            length = pending[0][1]
            if not last and values.size and first + length + SEEN_AROUND > len(values):
                return
            smoothed = _smooth(values, runs, first, length)
            first += length
            stale = max(first - SEEN_AROUND, 0)
            values, runs, first = values[stale:], runs[stale:], first - stale
            yield pending.popleft()[0], smoothed

    for payload, chunk_values, chunk_runs in chunks:
        pending.append((payload, len(chunk_values)))
        values = chunk_values if values is None else np.concatenate([values, chunk_values])
        runs = np.concatenate([runs, chunk_runs])
        yield from ready(last=False)
    yield from ready(last=True)


def _smooth(values: Float64Array, runs: IntArray, first: int, length: int) -> Float64Array:
    smooth = values[first : first + length].copy()
    for row in range(length):
        center = first + row
        low = max(center - SEEN_AROUND, 0)
        window = slice(low, center + SEEN_AROUND + 1)
        near = low + np.flatnonzero(runs[window] == runs[center])
        if len(near) > _ORDER:
            fit = polynomial_fit(near - center, _ORDER)
            smooth[row] = np.tensordot(fit[near == center][0], values[near], axes=1)
    return smooth
