"""Pauses in speech, in which the mouth is to close."""

from __future__ import annotations

import numpy as np

from retalking.media.sound.loudness import BLOCK_S, block_levels, speech_level
from retalking.media.sound.mel import SILENCE, MelSpectrogram
from retalking.types import AudioClip, Float64Array, FloatArray

_BELOW_SPEECH_DB = 31.0
_MIN_PAUSE_S = 0.25
_RAMP_S = 0.05


def speech_gate(clip: AudioClip, num_columns: int) -> FloatArray:
    """How much of each mel column is speech rather than a pause.

    A pause is at least 0.25 s long and stays 31 dB below the level of the speech, however loud that
    was recorded. The gate opens and closes within 0.05 s, inside the pause. Where there is no
    speech, all is pause.

    Args:
        clip: the speech.
        num_columns: columns of its spectrogram.

    Returns:
        float32 ``[num_columns]`` from 0 (pause) to 1 (speech).
    """
    levels_db = block_levels(clip, num_columns)
    level_db = speech_level(levels_db)
    if level_db is None:
        return np.zeros(num_columns, dtype=np.float32)
    quiet = levels_db < level_db - _BELOW_SPEECH_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    gate = np.ones(num_columns, dtype=np.float32)
    for start, stop in edges.reshape(-1, 2):
        if (stop - start) * BLOCK_S >= _MIN_PAUSE_S:
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
    ramp = _RAMP_S / BLOCK_S
    dip: Float64Array = 1 - np.minimum(np.minimum(since_speech, until_speech) / ramp, 1)
    return dip
