"""Log-mel spectrogram and the 0.2 s windows that L-Net and E-Net listen to.

``S`` counts the columns of a spectrogram (80 per second), ``T`` the frames of a chunk. Windows are
cut from the spectrogram of the whole audio by time stamp, so neither the frame rate nor the length
of the video can shift them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from retalking.errors import MediaError
from retalking.types import AudioClip, Float64Array, FloatArray, IntArray

SAMPLE_RATE_HZ = 16_000
NUM_BANDS = 80
WINDOW_STEPS = 16
"""Columns of one window: 0.2 s."""
SILENCE = -4.0
"""Level of digital silence after normalisation, the lowest value a mel cell can take."""

FFT_SIZE = 800  # 50 ms, also the analysis window
HOP = 200  # 12.5 ms
_BAND_RANGE_HZ = (55.0, 7600.0)
STEPS_PER_SECOND = SAMPLE_RATE_HZ // HOP
PRE_EMPHASIS = 0.97
_FLOOR = 1e-5  # -100 dB
_REFERENCE_DB = 20.0
_RANGE_DB = 100.0
_BLOCK_COLUMNS = 256  # columns transformed at once: an hour of speech needs no more memory


@dataclass(frozen=True)
class MelSpectrogram:
    """Normalised log-mel spectrogram of a whole audio track.

    Attributes:
        mel: float32 ``[80, S]`` in [-4, 4]; column ``s`` is centred on ``s / steps_per_second``.
        steps_per_second: columns per second.
    """

    mel: FloatArray
    steps_per_second: float = STEPS_PER_SECOND

    def __post_init__(self) -> None:
        if self.mel.ndim != 2 or self.mel.shape[0] != NUM_BANDS or self.mel.dtype != np.float32:
            raise ValueError(
                f"MelSpectrogram.mel: got {self.mel.dtype}{list(self.mel.shape)}, "
                f"expected float32[{NUM_BANDS}, *]"
            )

    def __len__(self) -> int:
        return self.mel.shape[1]

    def starts(self, times_s: ArrayLike) -> IntArray:
        """First column of the window of each frame.

        Equal to upstream's ``int(i * 80 / fps)`` at a constant rate.

        Args:
            times_s: presentation times ``[T]`` in seconds; a sync offset is subtracted beforehand,
                which may make them negative.

        Returns:
            int64 ``[T]``, not limited to the spectrogram.
        """
        # A time stamp such as 0.1 s may be the double just below; 1e-6 columns are 12.5 ns.
        columns = np.asarray(times_s, dtype=np.float64) * self.steps_per_second
        return np.floor(columns + 1e-6).astype(np.int64)

    def windows(self, times_s: ArrayLike) -> FloatArray:
        """Windows of a chunk of frames.

        What lies before or after the audio is silence. (Upstream repeats the last full window
        instead and drops the frames behind it; silence keeps the last sounds in time with their
        frames and closes the mouth after them.)

        Args:
            times_s: presentation times ``[T]`` in seconds.

        Returns:
            float32 ``[T, 1, 80, 16]`` in [-4, 4].
        """
        columns = self.starts(times_s)[:, None] + np.arange(WINDOW_STEPS)
        inside = (columns >= 0) & (columns < len(self))
        windows = np.full((NUM_BANDS, *columns.shape), SILENCE, dtype=np.float32)
        windows[:, inside] = self.mel[:, columns[inside]]
        return np.ascontiguousarray(windows.transpose(1, 0, 2)[:, None])


def log_mel(clip: AudioClip, gain: float = 1.0) -> MelSpectrogram:
    """Compute the log-mel spectrogram that the networks were trained on.

    Pre-emphasis, short-time Fourier transform, Slaney mel bands, decibels, normalisation to
    [-4, 4]. Written with numpy alone: librosa gives the same numbers, but importing it compiles
    code for seconds and its defaults (padding, signature of ``mel``) changed between releases.

    Args:
        clip: mono audio at 16 kHz.
        gain: factor of the samples.

    Returns:
        Spectrogram with ``1 + N // 200`` columns for ``N`` samples.

    Raises:
        MediaError: if the audio is empty, not at 16 kHz, or holds NaN or infinity.
    """
    samples = clip.samples
    if clip.sample_rate_hz != SAMPLE_RATE_HZ:
        raise MediaError(
            f"mel spectrogram: got audio at {clip.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ}; "
            "resample it first"
        )
    if len(samples) == 0:
        raise MediaError("mel spectrogram: the audio has no samples; give a non-empty track")
    broken = np.flatnonzero(~np.isfinite(samples))
    if len(broken):
        raise MediaError(
            f"mel spectrogram: {len(broken)} audio samples are NaN or infinite, first at "
            f"{broken[0] / SAMPLE_RATE_HZ:.3f} s; decode or export the audio again"
        )
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SIZE) / FFT_SIZE)
    filters = mel_filters()
    num_columns = 1 + len(samples) // HOP
    mel = np.empty((NUM_BANDS, num_columns), dtype=np.float32)
    for start in range(0, num_columns, _BLOCK_COLUMNS):
        block = slice(start, min(start + _BLOCK_COLUMNS, num_columns))
        first = start * HOP - FFT_SIZE // 2
        part = gain * _pre_emphasise(samples, first, (block.stop - start - 1) * HOP + FFT_SIZE)
        frames = np.lib.stride_tricks.sliding_window_view(part, FFT_SIZE)[::HOP]
        magnitude = np.abs(np.fft.rfft(frames * hann, axis=1))
        level_db = 20 * np.log10(np.maximum(_FLOOR, filters @ magnitude.T)) - _REFERENCE_DB
        mel[:, block] = np.clip(8 * (level_db + _RANGE_DB) / _RANGE_DB - 4, SILENCE, -SILENCE)
    return MelSpectrogram(mel)


def mel_magnitudes(spectrogram: MelSpectrogram) -> Float64Array:
    """Undo decibels and normalisation: the bands ``[80, S]`` of the magnitudes, 0 in silence."""
    level_db = (spectrogram.mel.astype(np.float64) + 4) * _RANGE_DB / 8 - _RANGE_DB
    magnitudes = 10 ** ((level_db + _REFERENCE_DB) / 20)
    return np.where(spectrogram.mel > SILENCE, magnitudes, 0.0)


def mel_filters() -> FloatArray:
    """Triangular filters of equal area on Slaney's mel scale.

    Returns:
        float32 ``[80, 401]``, the weight of each FFT bin in each band.
    """
    lowest, highest = (_hz_to_mel(hz) for hz in _BAND_RANGE_HZ)
    edges_hz = _mel_to_hz(np.linspace(lowest, highest, NUM_BANDS + 2))
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, FFT_SIZE // 2 + 1)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: FloatArray = (triangles * 2 / (right - left)).astype(np.float32)
    return filters


# Slaney's scale: linear below 1 kHz (15 mel), then 27 logarithmic steps per factor of 6.4.
_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_MEL = 15.0
_LOG_START_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _LOG_START_MEL + float(np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mel: Float64Array) -> Float64Array:
    logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL))
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)


def _pre_emphasise(samples: FloatArray, first: int, length: int) -> Float64Array:
    """Samples ``first`` to ``first + length`` after the filter, zero beyond the track."""
    emphasised = np.zeros(length)
    low, high = max(first, 0), min(first + length, len(samples))
    inside = emphasised[low - first : high - first]
    inside += samples[low:high]
    before = samples[max(low - 1, 0) : high - 1].astype(np.float64)
    inside[len(inside) - len(before) :] -= PRE_EMPHASIS * before
    return emphasised
