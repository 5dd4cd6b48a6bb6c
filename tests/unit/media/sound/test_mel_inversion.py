"""Sound that is found again from a mel spectrogram has that spectrogram, in time."""

from __future__ import annotations

import numpy as np

from retalking.media.sound.mel import SAMPLE_RATE_HZ, log_mel
from retalking.media.sound.mel_inversion import hear_mel
from retalking.types import AudioClip


def hummed_words(seconds: float) -> AudioClip:
    """Harmonics of a gliding voice, three words a second with pauses between them."""
    time_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * time_s)) / SAMPLE_RATE_HZ
    voice = sum(np.sin(k * pitch) / k for k in range(1, 25))
    words = np.maximum(np.sin(2 * np.pi * 3 * time_s), 0)
    return AudioClip((0.1 * voice * words).astype(np.float32), SAMPLE_RATE_HZ)


def test_the_found_sound_has_the_same_spectrogram() -> None:
    wanted = log_mel(hummed_words(1.0))
    made = hear_mel(wanted)
    assert len(made.samples) == 200 * (len(wanted) - 1)
    found = log_mel(made)
    loud = wanted.mel > -1
    # Measured: 0.05 of the range [-4, 4] in time, 0.21 a column (12.5 ms) early or late.
    misses = [
        np.abs(found.mel - np.roll(wanted.mel, shift, axis=1))[loud].mean() for shift in (-1, 0, 1)
    ]
    assert misses[1] < 0.1
    assert min(misses[0], misses[2]) > 0.15


def test_silence_stays_silent() -> None:
    silent = log_mel(AudioClip(np.zeros(3200, np.float32), SAMPLE_RATE_HZ))
    assert np.abs(hear_mel(silent).samples).max() < 1e-3
