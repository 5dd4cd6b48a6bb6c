"""Offsets of a few frames, which only a network that tells lips from speech can see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.prepare.clip import ClipPreparer
from datasets.prepare.in_step import Speech, settle_offset
from retalking.errors import MediaError
from retalking.media.sound.mel import log_mel
from tests.speech import vowels
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of

SPEAKING = SETTINGS.model_copy(update={"offset_from": "speech"})
TIMES_S = np.arange(200) / 25
LATE_S = 0.08  # two frames: less than loudness can tell


def opening(moments: np.ndarray) -> np.ndarray:
    return np.sin(9 * moments) + np.sin(23 * moments + 1) + 0.5 * np.sin(37 * moments)


@pytest.fixture(scope="module")
def speech() -> Speech:
    told_s = np.arange(0, 9, 0.02)
    return Speech(log_mel(vowels(9)), opening(told_s - LATE_S).astype(np.float32))


def settle(speech: Speech, **changes: object) -> tuple[float, dict[str, str]]:
    notes: dict[str, str] = {}
    noise = np.random.default_rng(0).normal(0, 0.5, len(TIMES_S))
    numbers = {"time_s": TIMES_S, "opening": (opening(TIMES_S) + noise).astype(np.float32)}
    settings = SPEAKING.model_copy(update=changes)
    return settle_offset(numbers, 0.0, speech, settings, notes), notes


def test_two_frames_are_found_and_corrected(speech: Speech) -> None:
    offset_s, notes = settle(speech)
    assert offset_s == pytest.approx(-LATE_S, abs=0.01)
    assert float(notes["speech_later_s"]) == pytest.approx(LATE_S, abs=0.01)
    assert float(notes["speech_fit"]) > 0.8
    assert float(notes["audio_offset_s"]) == pytest.approx(offset_s, abs=1e-4)


def test_each_step_can_be_switched_off(speech: Speech) -> None:
    assert settle(speech, correct_offset=False)[0] == 0.0
    unchecked, notes = settle(speech, max_offset_s=0.0)
    assert unchecked == 0.0
    assert "speech_fit" in notes
    with pytest.raises(MediaError, match=r"lips and speech fit by 0\.\d+, expected at least 0.95"):
        settle(speech, min_speech_fit=0.95)
    with pytest.raises(MediaError, match=r"are -0\.08 s apart, expected at most 0.04 s"):
        settle(speech, max_offset_s=0.04)


def test_the_networks_listen_while_a_clip_is_prepared(media: Path) -> None:
    (clip,) = ClipPreparer(SPEAKING).prepare(row_of(media, "talk"))
    assert {"speech_later_s", "speech_fit"} <= clip.notes.keys()
    assert "sync_score" not in clip.notes
