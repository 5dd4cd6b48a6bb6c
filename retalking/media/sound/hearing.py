"""What the networks hear of a sound: speech as loud as in their training, pauses as silence."""

from __future__ import annotations

import logging

from retalking.media.sound.loudness import block_levels, speech_level
from retalking.media.sound.mel import MelSpectrogram, log_mel
from retalking.media.sound.silence import gate_silence, speech_gate
from retalking.types import AudioClip

_log = logging.getLogger(__name__)

_SPEECH_DB = -20.0
"""Median level of the speech that the networks were trained on."""
_WORTH_SAYING_DB = 10.0
_SILENT_DB = -80.0
"""Of less, whoever loaded the sound has told already."""


def hear(clip: AudioClip, gates_pauses: bool = True) -> MelSpectrogram:
    """Return the spectrogram of the speech at the level that the networks know.

    Without this the lips of faint speech hardly move. The sound of the output is not touched.

    Args:
        clip: mono at 16 kHz, as recorded.
        gates_pauses: replace what hums between the words by silence.

    Raises:
        MediaError: see ``log_mel``.
    """
    levels_db = block_levels(clip, 1 + len(clip.samples) // 200)
    level_db = speech_level(levels_db)
    gain_db = 0.0 if level_db is None else _SPEECH_DB - level_db
    if level_db is None and levels_db.max() > _SILENT_DB:
        _log.warning("no speech is heard in the audio; the lips will not speak")
    elif level_db is not None and gain_db > _WORTH_SAYING_DB:
        _log.warning(
            "the speech is faint (%.0f dBFS); the networks hear it %.0f dB louder, the sound "
            "itself stays as it is",
            level_db,
            gain_db,
        )
    mel = log_mel(clip, gain=10 ** (gain_db / 20))
    return gate_silence(mel, speech_gate(clip, len(mel))) if gates_pauses else mel
