"""Whether a speech belongs to the lips that are seen, and by how much it comes late.

Loudness cannot tell a few frames; a network that tells lips from speech can, since its guess of the
opening fits the true one best where both are in step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retalking.face.lip_motion import correlate
from retalking.types import Float64Array

_STEP_S = 0.02
_MOST_S = 0.4
_LEAST_MOMENTS = 12


@dataclass(frozen=True)
class SpeechFit:
    """How speech and lips fit.

    Attributes:
        offset_s: by which the sound is later than the lips; negative: earlier.
        fit: correlation of told and seen opening at this offset; 0 if nothing can be said.
    """

    offset_s: float
    fit: float


def fit_speech(
    told_s: Float64Array,
    told: NDArray[np.floating],
    seen_s: Float64Array,
    seen: NDArray[np.floating],
    most_s: float = _MOST_S,
) -> SpeechFit:
    """Find the offset at which lips fit a speech best.

    Args:
        told_s: float64 ``[T]`` increasing, moments of the sound.
        told: ``[T]``, opening that the speech tells.
        seen_s: float64 ``[F]``, moments of the picture, on the same clock.
        seen: ``[F]``, opening that is seen; NaN where no face is.
        most_s: farthest offset that is tried.
    """
    known = np.isfinite(seen)
    moments, lips = seen_s[known], seen[known]
    if len(moments) < _LEAST_MOMENTS or len(told_s) < 2:
        return SpeechFit(0.0, 0.0)
    steps = round(most_s / _STEP_S)
    offsets = np.arange(-steps, steps + 1) * _STEP_S
    fits = np.array([correlate(np.interp(moments + by, told_s, told), lips) for by in offsets])
    best = int(fits.argmax())
    offset = float(offsets[best])
    if 0 < best < len(fits) - 1:  # the top of the parabola through three values
        before, top, after = fits[best - 1 : best + 2]
        bend = before - 2 * top + after
        offset += _STEP_S * float((before - after) / (2 * bend)) if bend < 0 else 0.0
    return SpeechFit(offset, float(fits[best]))
