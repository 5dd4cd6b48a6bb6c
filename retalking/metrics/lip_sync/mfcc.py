"""Mel-frequency cepstral coefficients as SyncNet was trained on: python_speech_features' defaults.

25 ms windows every 10 ms without a taper, 26 bands up to half the sampling rate, 13 coefficients,
liftered; the first is replaced with the logarithm of the window's energy. ``N`` counts samples and
``S`` windows.
"""

from __future__ import annotations

import numpy as np

from retalking.errors import MediaError
from retalking.types import AudioClip, Float64Array

SAMPLE_RATE_HZ = 16_000
NUM_COEFFICIENTS = 13

_WINDOW, _STEP = 400, 160  # samples
_FFT_SIZE = 512
_NUM_BANDS = 26
_PRE_EMPHASIS = 0.97
_LIFTER = 22
_LEAST = np.finfo(np.float64).eps
_BLOCK = 4096  # windows transformed at once


def mfcc(speech: AudioClip) -> Float64Array:
    """Compute the coefficients of a clip, read as 16-bit samples.

    Returns:
        float64 ``[S, 13]`` with ``S = 1 + ceil((N - 400) / 160)``; the last window is filled up
        with zeros.

    Raises:
        MediaError: the audio is not at 16 kHz, or empty.
    """
    if speech.sample_rate_hz != SAMPLE_RATE_HZ or len(speech.samples) == 0:
        raise MediaError(
            f"MFCC: got {len(speech.samples)} samples at {speech.sample_rate_hz} Hz, expected some "
            f"at {SAMPLE_RATE_HZ} Hz; resample the speech"
        )
    levels = np.clip(np.rint(speech.samples.astype(np.float64) * 32768), -32768, 32767)
    levels[1:] -= _PRE_EMPHASIS * levels[:-1]
    num_windows = 1 + max(0, -(-(len(levels) - _WINDOW) // _STEP))
    levels = np.pad(levels, (0, (num_windows - 1) * _STEP + _WINDOW - len(levels)))
    windows = np.lib.stride_tricks.sliding_window_view(levels, _WINDOW)[::_STEP]
    blocks = [_cepstrum(windows[first : first + _BLOCK]) for first in range(0, num_windows, _BLOCK)]
    return np.concatenate(blocks)


def _cepstrum(windows: Float64Array) -> Float64Array:
    """Coefficients ``[S, 13]`` of windows ``[S, 400]``."""
    from scipy.fft import dct  # noqa: PLC0415 - takes long to import

    power = np.square(np.abs(np.fft.rfft(windows, _FFT_SIZE))) / _FFT_SIZE
    bands = np.maximum(power @ _band_filters().T, _LEAST)
    coefficients = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :NUM_COEFFICIENTS]
    coefficients *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(NUM_COEFFICIENTS) / _LIFTER)
    coefficients[:, 0] = np.log(np.maximum(power.sum(axis=1), _LEAST))
    return np.asarray(coefficients, dtype=np.float64)


def _band_filters() -> Float64Array:
    """Triangles ``[26, 257]`` that are equally wide in mel."""
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700), _NUM_BANDS + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    edges = np.floor((_FFT_SIZE + 1) * hertz / SAMPLE_RATE_HZ)
    low, middle, high = (edges[first : first + _NUM_BANDS, None] for first in range(3))
    line = np.arange(_FFT_SIZE // 2 + 1)
    rise, fall = (line - low) / (middle - low), (high - line) / (high - middle)
    return np.maximum(np.minimum(rise, fall), 0)
