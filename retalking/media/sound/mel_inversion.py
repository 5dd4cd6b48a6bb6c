"""Sound again from its mel spectrogram, where the sound itself was not kept.

The phase is found by Griffin and Lim's iteration (1984) with the momentum of Perraudin et al. 2013.
It sounds hollow, but every word is understood.
"""

from __future__ import annotations

import numpy as np

from retalking.media.sound.mel import (
    FFT_SIZE,
    HOP,
    PRE_EMPHASIS,
    SAMPLE_RATE_HZ,
    MelSpectrogram,
    mel_filters,
    mel_magnitudes,
)
from retalking.types import AudioClip, Float64Array

_ROUNDS, _MOMENTUM = 32, 0.99


def hear_mel(spectrogram: MelSpectrogram) -> AudioClip:
    """Find sound that has such a spectrogram.

    Returns:
        ``S`` columns become ``200 (S - 1)`` samples at 16 kHz; the first column lies at the first.
    """
    from scipy.signal import lfilter  # noqa: PLC0415 - takes long to import

    bands = mel_magnitudes(spectrogram)
    magnitude = np.maximum(np.linalg.pinv(mel_filters().astype(np.float64)) @ bands, 0).T
    rng = np.random.default_rng(0)
    phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
    before = np.zeros_like(phase)
    for _ in range(_ROUNDS):
        fitting = _transform(_overlap(magnitude * phase))
        ahead = fitting + _MOMENTUM * (fitting - before)
        phase = ahead / np.maximum(np.abs(ahead), 1e-12)
        before = fitting
    wave = lfilter([1.0], [1.0, -PRE_EMPHASIS], _overlap(magnitude * phase))
    return AudioClip(np.clip(wave, -1, 1).astype(np.float32), SAMPLE_RATE_HZ)


def _hann() -> Float64Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SIZE) / FFT_SIZE))


def _transform(wave: Float64Array) -> np.ndarray:
    """Spectrum ``[S, 401]`` of columns centred on every 200th sample."""
    padded = np.pad(wave, FFT_SIZE // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP]
    return np.fft.rfft(frames * _hann(), axis=1)


def _overlap(spectrum: np.ndarray) -> Float64Array:
    """The wave whose columns are nearest to a spectrum, in squares."""
    frames = np.fft.irfft(spectrum, FFT_SIZE, axis=1) * _hann()
    wave, weight = np.zeros((2, (len(frames) - 1) * HOP + FFT_SIZE))
    for column, frame in enumerate(frames):
        place = slice(column * HOP, column * HOP + FFT_SIZE)
        wave[place] += frame
        weight[place] += np.square(_hann())
    half = FFT_SIZE // 2
    return np.asarray((wave / np.maximum(weight, 1e-9))[half : len(wave) - half])
