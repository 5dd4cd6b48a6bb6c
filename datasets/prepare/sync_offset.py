"""Are audio and video of a clip in step? Loudness and lip opening tell, where there is enough.

A lip-sync expert trained on clips that are out of step does not converge, so clips are corrected
where the evidence is strong and dropped where no shift makes speech and lips agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.media.sound.mel import MelSpectrogram
from retalking.types import Float64Array, FloatArray

_SPEECH_BANDS = slice(8, 56)  # about 300 Hz to 3.5 kHz: vowels, with which the mouth opens
_TREND_S = 1.0
_FAR_S = 1.0  # shifts beyond this are chance


@dataclass(frozen=True)
class SyncEstimate:
    """How speech and lips agree.

    Attributes:
        offset_s: to add to the time of the audio for the best agreement.
        correlation: at that offset.
        correlation_at_0: without a shift.
        score: height of the best correlation above that of wrong shifts, in their standard
            deviations; below about 3 it may be chance.
    """

    offset_s: float
    correlation: float
    correlation_at_0: float
    score: float


def estimate_offset(
    opening: FloatArray,
    times_s: Float64Array,
    mel: MelSpectrogram,
    frame_rate: float,
    max_offset_s: float,
) -> SyncEstimate | None:
    """Correlate the lip opening with the loudness of speech at all shifts.

    Args:
        opening: ``[F]`` of consecutive frames.
        times_s: their times ``[F]``.
        mel: of the audio.
        frame_rate: frames per second.
        max_offset_s: largest shift that is looked for.

    Returns:
        The estimate, or ``None`` where the clip is too short or silent to say anything.
    """
    near, far = round(max_offset_s * frame_rate), round((_FAR_S + max_offset_s) * frame_rate)
    if len(opening) < 4 * far:
        return None
    # The lips lead the sound a little: the window of a frame begins at its time stamp.
    loudness = mel.windows(times_s)[:, 0, _SPEECH_BANDS].mean(axis=(1, 2))
    speech, lips = (_sharpen(values, frame_rate) for values in (loudness, opening))
    if speech is None or lips is None:
        return None
    shifts = np.arange(len(lips)) - len(lips) // 2
    # Circular, so that every shift is judged from the same number of frames.
    spectrum = np.fft.rfft(lips).conj() * np.fft.rfft(speech)
    by_shift = np.fft.irfft(spectrum, len(lips))[shifts] / len(lips)
    correlations = dict(zip(shifts.tolist(), by_shift.tolist(), strict=True))
    chance = by_shift[np.abs(shifts) > far - near]
    best = max(range(-near, near + 1), key=lambda shift: correlations[shift])
    return SyncEstimate(
        offset_s=-best / frame_rate,
        correlation=correlations[best],
        correlation_at_0=correlations[0],
        score=float((correlations[best] - chance.mean()) / max(chance.std(), 1e-6)),
    )


def _sharpen(values: FloatArray, frame_rate: float) -> Float64Array | None:
    """Remove the slow trend, scale to mean 0 and deviation 1; ``None`` if nothing remains."""
    width = max(3, round(_TREND_S * frame_rate) | 1)
    padded = np.pad(values.astype(np.float64), width // 2, mode="edge")
    fast = values - np.convolve(padded, np.full(width, 1 / width), mode="valid")
    deviation = fast.std()
    return None if deviation < 1e-5 else (fast - fast.mean()) / deviation
