"""From a speaker's standard deviations to lips that the speaker's face can make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.mouth.warp.lip_measures import OPENING, WIDTH
from retalking.types import Float64Array, FloatArray

_LIMITS = (2.0, 98.0)  # percentiles of what the speaker shows
_STILL_SHARE = 0.25  # of the typical deviation, below which lips do not speak
_SPEAKING_SHARE = 0.5
_FRAMES_OF_TRUST = 50.0
_SOFT = 0.35  # standard deviations over which a limit is approached


@dataclass(frozen=True)
class LipRange:
    """How a speaker's lips move, in units of lip measures; float64 ``[5]`` each.

    Attributes:
        mean: of speech.
        deviation: of speech.
        low: least value asked for.
        high: greatest value asked for.
    """

    mean: Float64Array
    deviation: Float64Array
    low: Float64Array
    high: Float64Array

    def place(self, deviations: FloatArray | Float64Array, strength: float = 1.0) -> Float64Array:
        """Turn standard deviations ``[N, 5]`` into measures, within the limits.

        Closed lips stay closed whatever the strength; it scales how far they open from there, and
        the other measures about their means.
        """
        wanted = self.mean + np.asarray(deviations, np.float64) * self.deviation
        rest = self.mean.copy()
        rest[OPENING] = self.low[OPENING]
        wanted = rest + strength * (wanted - rest)
        soft = _SOFT * self.deviation
        wanted = np.where(wanted > self.high - soft, _approach(wanted, self.high, soft), wanted)
        below = _approach(-wanted, -self.low, soft)
        # Lips that close do not come near: they meet.
        below[..., OPENING] = np.minimum(-wanted, -self.low)[..., OPENING]
        return np.where(-wanted > -self.low - soft, -below, wanted)


def measure_range(lips: Float64Array, typical: Float64Array) -> LipRange:
    """Measure the range of a speaker.

    Lips that hardly move, or few frames, say little about how they speak: then the range is that of
    other people.

    Args:
        lips: measures ``[F, 5]`` of the frames.
        typical: deviations ``[5]`` of people.
    """
    low, high = np.percentile(lips, _LIMITS, axis=0)
    own = lips.std(axis=0)
    speaking = np.clip(
        (own[OPENING] / typical[OPENING] - _STILL_SHARE) / (_SPEAKING_SHARE - _STILL_SHARE), 0, 1
    )
    trust = float(speaking) * len(lips) / (len(lips) + _FRAMES_OF_TRUST)
    deviation = np.sqrt(trust * own**2 + (1 - trust) * typical**2)
    guess = np.median(lips, axis=0)
    guess[OPENING] = low[OPENING] + 1.2 * typical[OPENING]
    mean = trust * lips.mean(axis=0) + (1 - trust) * guess
    reach = (1 - trust) * 1.6 * deviation
    return LipRange(
        mean,
        deviation,
        low=np.where(np.arange(5) == OPENING, low, np.minimum(low, mean - reach)),
        high=np.maximum(high, mean + reach),
    )


def _approach(value: Float64Array, limit: Float64Array, soft: Float64Array) -> Float64Array:
    """Let values beyond ``limit - soft`` come ever nearer to the limit."""
    soft = np.maximum(soft, 1e-9)
    reached: Float64Array = limit - soft * np.exp(-np.maximum(value - limit + soft, 0) / soft)
    return reached
