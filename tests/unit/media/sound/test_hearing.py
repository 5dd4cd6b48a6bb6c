"""The networks hear faint speech as they hear loud speech, and no speech where there is none."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from retalking.media.sound.hearing import hear
from retalking.media.sound.loudness import block_levels, speech_level
from retalking.media.sound.mel import SILENCE, log_mel
from retalking.types import AudioClip
from tests.media import speech_like

RATE_HZ = 16_000


def voice(seconds: float = 2.0) -> np.ndarray:
    """Words with half a second of room noise, 50 dB lower, after them."""
    rng = np.random.default_rng(1)
    sound = np.concatenate([speech_like(seconds), np.zeros(RATE_HZ // 2, np.float32)])
    return (sound + 3e-4 * rng.normal(size=len(sound))).astype(np.float32)


def level_of(samples: np.ndarray) -> float | None:
    return speech_level(block_levels(AudioClip(samples, RATE_HZ), 1 + len(samples) // 200))


@pytest.mark.parametrize("gain_db", [-40, -20, -12, 6])
def test_any_level_sounds_alike(gain_db: float) -> None:
    usual = hear(AudioClip(voice(), RATE_HZ))
    other = hear(AudioClip(voice() * np.float32(10 ** (gain_db / 20)), RATE_HZ))
    # float32 rounding of the samples, in decibels near the floor of the scale
    np.testing.assert_allclose(other.mel, usual.mel, atol=2e-3)
    assert (usual.mel[:, 180:190] == SILENCE).all()  # the pause


def test_speech_of_sixteen_bits_at_minus_forty_is_not_taken_for_noise() -> None:
    faint = (np.rint(voice() * 0.01 * 32768) / 32768).astype(np.float32)
    mel, usual = (hear(AudioClip(sound, RATE_HZ)).mel for sound in (faint, voice()))
    spoken = usual > 0
    assert np.abs(mel[spoken] - usual[spoken]).mean() < 0.1  # of 8


def test_usual_speech_is_heard_at_the_level_of_the_training() -> None:
    sound = voice()
    level_db = level_of(sound)
    assert level_db is not None
    scaled = log_mel(AudioClip(sound, RATE_HZ), gain=10 ** ((-20 - level_db) / 20))
    np.testing.assert_array_equal(hear(AudioClip(sound, RATE_HZ), False).mel, scaled.mel)


def test_a_sentence_in_a_minute_of_silence_has_the_level_of_the_sentence() -> None:
    sentence = speech_like(2.0)
    alone = level_of(sentence)
    within = level_of(np.concatenate([sentence, np.zeros(60 * RATE_HZ, np.float32)]))
    assert alone is not None
    assert within == pytest.approx(alone, abs=0.2)


def test_a_quiet_room_is_no_speech(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    hum = 1e-3 * np.sin(2 * np.pi * 50 * np.arange(3 * RATE_HZ) / RATE_HZ)
    room = (hum + 1e-3 * rng.normal(size=3 * RATE_HZ)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        heard = hear(AudioClip(room, RATE_HZ))
    assert (heard.mel == SILENCE).all()
    assert "no speech is heard" in caplog.text


def test_what_is_made_louder_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        hear(AudioClip(voice(), RATE_HZ))
        assert caplog.text == ""
        hear(AudioClip(voice() * np.float32(0.03), RATE_HZ))
    assert "the speech is faint" in caplog.text
