"""What is heard during the frames of a stored clip: kept, found again, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.store.format import TRACKS, write_part
from datasets.store.reader import StoredClip
from datasets.store.sound import read_sound
from retalking.media.sound.mel import SAMPLE_RATE_HZ, log_mel
from retalking.types import AudioClip

NUM_FRAMES = 20
PER_FRAME = SAMPLE_RATE_HZ // 25


def _write(folder: Path, name: str, **arrays: np.ndarray) -> StoredClip:
    write_part(folder, TRACKS, name, {"opening": np.zeros(NUM_FRAMES, np.float32), **arrays})
    return StoredClip(folder, name)


def _beep() -> AudioClip:
    """Silence but for frames 8 to 12."""
    samples = np.zeros(NUM_FRAMES * PER_FRAME, np.float32)
    place = slice(8 * PER_FRAME, 12 * PER_FRAME)
    samples[place] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * PER_FRAME) / SAMPLE_RATE_HZ)
    return AudioClip(samples, SAMPLE_RATE_HZ)


def test_sound_that_was_kept_is_read(tmp_path: Path) -> None:
    beep = _beep()
    kept = np.rint(beep.samples * 32767).astype(np.int16)
    found = read_sound(_write(tmp_path, "a", audio=kept), slice(8, 10))
    assert found is not None
    wanted = beep.samples[8 * PER_FRAME : 10 * PER_FRAME]
    np.testing.assert_allclose(found.samples, wanted, atol=1 / 32767)


def test_sound_is_found_again_from_the_mel_in_time(tmp_path: Path) -> None:
    spectrogram = log_mel(_beep())
    starts = spectrogram.starts(np.arange(NUM_FRAMES) / 25)
    mel = spectrogram.mel.T.astype(np.float16)
    found = read_sound(_write(tmp_path, "a", mel=mel, mel_start=starts), slice(5, 15))
    assert found is not None
    assert len(found.samples) == 10 * PER_FRAME
    loudness = np.abs(found.samples).reshape(10, PER_FRAME).mean(axis=1)
    # The beep lasts from the third to the seventh of these frames; windows of 50 ms blur its ends.
    assert loudness[3:7].min() > 5 * max(loudness[:2].max(), loudness[8:].max())


def test_a_clip_without_speech_is_silent(tmp_path: Path) -> None:
    assert read_sound(_write(tmp_path, "a"), slice(0, 5)) is None
