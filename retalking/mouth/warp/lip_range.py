"""From a speaker's standard deviations to lips that the speaker's face can make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.mouth.warp.lip_measures import OPENING, WIDTH
from retalking.types import Float64Array, FloatArray

TYPICAL_DEVIATION: Float64Array = np.array([0.069, 0.049, 0.051, 0.069, 0.025])
"""Median over 124 clips of talking people."""
_TYPICAL_GAP = 0.0  # of closed lips, as landmarks see it: median over 82 clips, like the next two
_OPEN_ABOVE = 0.03  # 19 of 20 speakers close their lips further than this
_REACH = (1.5, 2.0)  # typical deviations from the mean to the 2nd and 98th percentile

_LIMITS = (2.0, 98.0)  # percentiles of what the speaker shows
_SPEAKING = (0.2, 0.45)  # of the typical deviation: lips that rest move less, lips that speak more
_FRAMES_OF_TRUST = 15.0
_FRAMES_OF_KNOWLEDGE = 75.0  # that a deviation known from other videos counts for
_SOFT = 0.35  # standard deviations over which a limit is approached
_CLOSING = 1.4
"""By how much lips go further that are less open than usual. What speech tells is a mean of what
lips may do, which seldom meets; one sees sooner that lips miss each other than that they press."""
_WIDENING = 1.3
"""By how much the width goes further than told, since 0.63 of what is asked arrives in the picture
(what the face analysis sees in nine dubs): lenders are chosen by widths that err. The opening
arrives by 0.89."""


@dataclass(frozen=True)
class LipRange:
    """How a speaker's lips move, in units of lip measures; float64 ``[5]`` each.

    Attributes:
        mean: of speech.
        deviation: of speech.
        low: least value asked for; of the opening, that of closed lips.
        high: greatest value asked for.
    """

    mean: Float64Array
    deviation: Float64Array
    low: Float64Array
    high: Float64Array

    def place(self, deviations: FloatArray | Float64Array, strength: float = 1.0) -> Float64Array:
        """Turn standard deviations ``[N, 5]`` into measures, within the limits.

        Args:
            deviations: wanted lips.
            strength: scales the movement. Closed lips stay closed whatever it is: the opening is
                scaled from there, the other measures about their means.
        """
        rest = self.mean.copy()
        rest[OPENING] = self.low[OPENING]
        told = np.array(deviations, np.float64)
        told[:, OPENING] *= np.where(told[:, OPENING] < 0, _CLOSING, 1.0)
        told[:, WIDTH] *= _WIDENING
        wanted = self.mean + told * self.deviation
        wanted = rest + strength * (wanted - rest)
        soft = np.maximum(_SOFT * self.deviation, 1e-9)
        limited = _limit(_limit(wanted, self.high, soft) * -1, -self.low, soft) * -1
        # Lips that close do not come near each other: they meet.
        closing = np.maximum(wanted, self.low)[:, OPENING]
        limited[:, OPENING] = np.minimum(limited[:, OPENING], closing)
        return limited


def measure_range(lips: Float64Array, known: LipRange | None = None) -> LipRange:
    """Measure the range of a speaker.

    Lips that hardly move say little about how they speak, and so do few frames: the less they say,
    the more the range is that of other people, or what is known of this one, about the lips that
    were seen. Where a speaker's lips are on average differs from one recording to the next, by
    mood and lens; how far they reach from there is taken from ``known``.

    Args:
        lips: measures ``[F, 5]``, at least one frame.
        known: range in other videos of the speaker.
    """
    typical = TYPICAL_DEVIATION if known is None else known.deviation
    low, middle, high = np.percentile(lips, (_LIMITS[0], 50.0, _LIMITS[1]), axis=0)
    own = lips.std(axis=0)
    least, enough = _SPEAKING
    moving = float(np.clip((own[OPENING] / typical[OPENING] - least) / (enough - least), 0, 1))
    trust = moving * len(lips) / (len(lips) + _FRAMES_OF_TRUST)
    certain = trust if known is None else moving * len(lips) / (len(lips) + _FRAMES_OF_KNOWLEDGE)
    deviation = np.sqrt(certain * own**2 + (1 - certain) * typical**2)
    if low[OPENING] > _OPEN_ABOVE:  # lips that are never seen closed can be
        low[OPENING] = _TYPICAL_GAP if known is None else known.low[OPENING]
    below, above = ((1 - trust) * reach * deviation for reach in _REACH)
    to_mean = _REACH[0] * typical[OPENING]
    if known is not None:
        below, above = known.mean - known.low, known.high - known.mean
        to_mean = below[OPENING]
    guess = middle
    guess[OPENING] = low[OPENING] + to_mean
    mean = trust * lips.mean(axis=0) + (1 - trust) * guess
    closed = low[OPENING]
    low, high = np.minimum(low, mean - below), np.maximum(high, mean + above)
    low[OPENING] = closed
    return LipRange(mean, deviation, low, high)


def _limit(value: Float64Array, limit: Float64Array, soft: Float64Array) -> Float64Array:
    """Let what comes nearer than ``soft`` to the upper limit approach it ever more slowly."""
    beyond = np.maximum(value - limit + soft, 0)
    return np.where(beyond > 0, limit - soft * np.exp(-beyond / soft), value)
