"""Sounds to listen to, synthesised."""

from __future__ import annotations

import numpy as np

from retalking.types import AudioClip

RATE_HZ = 16_000


def vowels(seconds: float, level: float = 0.1, seed: int = 0) -> AudioClip:
    """A buzzing voice that changes between open and round vowels four times a second."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    share = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time_s)
    wave = np.zeros(count)
    for overtone in range(1, 30):
        hz = overtone * pitch_hz
        gains = [
            sum(np.exp(-(((hz - formant) / 120) ** 2)) for formant in formants)
            for formants in ((730, 1090, 2440), (300, 870, 2240))
        ]
        wave += np.sin(overtone * phase) * (share * gains[0] + (1 - share) * gains[1] + 0.02)
    wave *= 0.3 + 0.7 * share
    wave += 0.003 * rng.standard_normal(count)
    wave *= level / np.sqrt(np.square(wave).mean())
    return AudioClip(wave.astype(np.float32), RATE_HZ)
