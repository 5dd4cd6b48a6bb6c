"""Pauses in speech, in which the mouth is to close."""

from __future__ import annotations

import numpy as np

from retalking.media.mel import SILENCE, MelSpectrogram
from retalking.types import AudioClip, Float64Array, FloatArray

_BLOCK_S = 0.0125  # one mel column
_BELOW_SPEECH_DB = 35.0
_ALWAYS_SILENT_DB = -55.0
_MIN_PAUSE_S = 0.25
_RAMP_S = 0.05


def speech_gate(clip: AudioClip, num_columns: int) -> FloatArray:
    """How much of each mel column is speech rather than a pause.

    A pause is at least 0.25 s long and stays 35 dB below the loud parts of the clip (its 95th
    percentile), or below -55 dBFS. The gate opens and closes within 0.05 s, inside the pause.

    Args:
        clip: the speech.
        num_columns: columns of its spectrogram.

    Returns:
        float32 ``[num_columns]`` from 0 (pause) to 1 (speech).
    """
    block = round(_BLOCK_S * clip.sample_rate_hz)
    padded = np.zeros(num_columns * block, dtype=np.float32)
    samples = clip.samples[: len(padded)]
    padded[: len(samples)] = samples
    blocks = padded.reshape(num_columns, block)
    power = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64) / block
    level_db = 10 * np.log10(power + 1e-12)
    threshold_db = max(np.percentile(level_db, 95) - _BELOW_SPEECH_DB, _ALWAYS_SILENT_DB)
    quiet = level_db < threshold_db
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    gate = np.ones(num_columns, dtype=np.float32)
    for start, stop in edges.reshape(-1, 2):
        if (stop - start) * _BLOCK_S >= _MIN_PAUSE_S:
            gate[start:stop] = _dip(start, stop, num_columns)
    return gate


def gate_silence(mel: MelSpectrogram, gate: FloatArray) -> MelSpectrogram:
    """Replace pauses by digital silence, which closes the mouth whatever hums in the background."""
    return MelSpectrogram((gate * (mel.mel - SILENCE) + SILENCE).astype(np.float32))


def _dip(start: int, stop: int, num_columns: int) -> Float64Array:
    """Gate of a pause; an end of it without speech beside it, that of the clip, has no ramp."""
    columns = np.arange(start, stop)
    since_speech = columns - start + 1 if start > 0 else np.full(len(columns), np.inf)
    until_speech = stop - columns if stop < num_columns else np.full(len(columns), np.inf)
    ramp = _RAMP_S / _BLOCK_S
    dip: Float64Array = 1 - np.minimum(np.minimum(since_speech, until_speech) / ramp, 1)
    return dip
