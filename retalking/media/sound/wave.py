"""Sound as a WAV file."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from retalking.files import replacing
from retalking.types import AudioClip

_LEVELS = 32767


def write_wave(path: Path, clip: AudioClip) -> None:
    """Write sound as a WAV file of 16 bits.

    Raises:
        MediaError: it cannot be written.
    """
    levels = np.rint(np.clip(clip.samples, -1, 1) * _LEVELS).astype("<i2")
    with replacing(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clip.sample_rate_hz)
        file.writeframes(levels.tobytes())
