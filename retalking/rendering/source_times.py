"""Times of the source's frames for the output: exact, and so close that lips can move."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from retalking.types import Float64Array, IntArray

_log = logging.getLogger(__name__)

_LIPS_HZ = 25
"""Frames a second to which sparse ones are filled up, the rate that the networks learned at."""
_JITTER, _EXCESS = 1.05, 0.05
_LONGEST_S = 600.0
"""Longer gaps between frames are damaged time stamps."""
_LARGEST_DENOMINATOR = 10**6
_FINE_S = Fraction(1, 10_000)


@dataclass(frozen=True)
class SourceTimes:
    """When which source frame is shown.

    Attributes:
        index: int64 ``[P]``, source frames, increasing; one may be shown several times in a row.
        pts: int64 ``[P]``, strictly increasing from 0, in ticks of ``time_base``.
        last_ticks: how long the last one is shown.
        time_base: seconds per tick.
    """

    index: IntArray
    pts: IntArray
    last_ticks: int
    time_base: Fraction


def source_times(
    pts: IntArray, time_base: Fraction, frame_rate: Fraction, min_rate_hz: float = 0.0
) -> SourceTimes:
    """Return the times of all frames, those that are shown for long several times.

    Args:
        pts: int64 ``[F]``, strictly increasing.
        time_base: seconds per tick.
        frame_rate: nominal frames per second.
        min_rate_hz: a frame shown for longer than at this rate is repeated at 25 a second or more.
    """
    pts, time_base = exact_times(pts, time_base, frame_rate)
    gaps = np.diff(pts)
    nominal = max(1, round(1 / (frame_rate * time_base)))
    durations = np.append(gaps, int(np.median(gaps)) if len(gaps) else nominal)
    parts = np.ones(len(durations), dtype=np.int64)
    if min_rate_hz > 0:
        seconds: Float64Array = durations * float(time_base)
        long = (seconds * min_rate_hz > _JITTER) & (seconds < _LONGEST_S)
        parts[long] = np.ceil(seconds[long] * _LIPS_HZ - _EXCESS).astype(np.int64)
        if long.any():
            _log.warning(
                "%d of %d source frames are shown for more than 1/%g s; they are repeated so that "
                "the lips move meanwhile (--min-fps)",
                np.count_nonzero(long),
                len(parts),
                min_rate_hz,
            )
    factor = _refine(durations, parts, time_base)
    starts = np.concatenate([[0], np.cumsum(durations * factor)])
    # Part j of n of a frame begins after j / n of its duration.
    index = np.repeat(np.arange(len(parts)), parts)
    part = np.arange(len(index)) - np.repeat(np.cumsum(parts) - parts, parts)
    begin = starts[index] + part * durations[index] * factor // parts[index]
    return SourceTimes(
        index=index.astype(np.int64),
        pts=begin.astype(np.int64),
        last_ticks=int(starts[-1] - begin[-1]),
        time_base=time_base / factor,
    )


def exact_times(
    pts: IntArray, time_base: Fraction, frame_rate: Fraction
) -> tuple[IntArray, Fraction]:
    """Undo the rounding of a coarse clock, such as the milliseconds of Matroska.

    29.97 frames a second become gaps of 33 and 34 ms there; where all stamps are within a tick of
    an even rate, gaps left out included, that rate's own times are given back.

    Returns:
        Times from 0 on and their ``time_base``; the given ones, shifted, where they are exact or
        uneven.
    """
    stamps = pts - pts[0]
    step = 1 / (frame_rate * time_base)
    if step.denominator > 1 and step > 1:
        numbers = np.rint(stamps / float(step)).astype(np.int64)
        drift = stamps - numbers * float(step)
        if np.ptp(drift) <= 1 + 1e-6 and (np.diff(numbers) > 0).all():
            return numbers * frame_rate.denominator, Fraction(1, frame_rate.numerator)
    return stamps, time_base


def _refine(durations: IntArray, parts: IntArray, time_base: Fraction) -> int:
    """Into how many each tick must be divided for the parts of a frame to be even."""
    pairs = np.unique(np.stack([durations, parts], axis=1)[parts > 1], axis=0)
    exact = math.lcm(*(count // math.gcd(ticks, count) for ticks, count in pairs.tolist()))
    if (time_base / exact).denominator <= _LARGEST_DENOMINATOR:
        return exact
    return max(1, math.ceil(time_base / _FINE_S))
