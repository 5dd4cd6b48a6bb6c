"""Pauses made on purpose, and a gate that closes in them alone."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.media.sound.mel import SILENCE, log_mel
from retalking.media.sound.silence import gate_silence, speech_gate
from retalking.types import AudioClip
from tests.rounding import SINGLE

RATE_HZ = 16_000


def clip_of(*parts: tuple[float, float]) -> AudioClip:
    """Noise of the given (seconds, level in dBFS) one after another."""
    rng = np.random.default_rng(0)
    noise = [
        10 ** (level_db / 20) * rng.normal(size=round(seconds * RATE_HZ))
        for seconds, level_db in parts
    ]
    return AudioClip(np.concatenate(noise).astype(np.float32), RATE_HZ)


def gate_of(*parts: tuple[float, float]) -> np.ndarray:
    clip = clip_of(*parts)
    gate = speech_gate(clip, 1 + len(clip.samples) // 200)
    assert gate.dtype == np.float32
    return gate


def test_speech_passes() -> None:
    assert (gate_of((1.5, -20))[:-1] == 1).all()


@pytest.mark.parametrize("level_db", [-60.0, -100.0, -400.0])
def test_a_silent_clip_is_one_pause(level_db: float) -> None:
    np.testing.assert_array_equal(gate_of((1.0, level_db)), 0)


@pytest.mark.parametrize(("seconds", "closes"), [(0.2375, False), (0.25, True), (1.0, True)])
def test_only_pauses_of_a_quarter_second_close_the_gate(seconds: float, closes: bool) -> None:
    gate = gate_of((1, -20), (seconds, -70), (1, -20))
    assert (gate.min() == 0) == closes
    assert (gate[:80] == 1).all()
    assert (gate[80 + round(80 * seconds) : -1] == 1).all()


def test_the_gate_moves_within_the_pause_in_a_twentieth_of_a_second() -> None:
    gate = gate_of((1, -20), (0.5, -70), (1, -20))
    np.testing.assert_allclose(gate[79:86], [1, 0.75, 0.5, 0.25, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(gate[114:121], [0, 0, 0, 0.25, 0.5, 0.75, 1], atol=1e-6)


def test_silence_before_and_after_the_speech_is_closed_to_the_very_end() -> None:
    gate = gate_of((0.5, -70), (1, -20), (0.5, -70))
    np.testing.assert_array_equal(gate[:36], 0)
    np.testing.assert_array_equal(gate[124:], 0)
    assert (gate[40:120] == 1).all()


@pytest.mark.parametrize(("level_db", "closes"), [(-56, True), (-44, False), (-30, False)])
def test_a_pause_is_31_db_below_the_speech(level_db: float, closes: bool) -> None:
    gate = gate_of((2, -15), (0.5, level_db), (1, -15))
    assert (gate[170:190].max() == 0) == closes


def test_room_noise_below_loud_speech_is_a_pause() -> None:
    assert gate_of((2, -5), (0.5, -47), (1, -5))[170:190].max() == 0


def test_one_sample_and_one_column_do() -> None:
    assert speech_gate(AudioClip(np.zeros(1, np.float32), RATE_HZ), 1).shape == (1,)
    np.testing.assert_array_equal(speech_gate(clip_of((0.3, -20)), 1), 1)


def test_gating_turns_a_pause_into_digital_silence_and_nothing_else() -> None:
    clip = clip_of((1, -20), (0.5, -56), (1, -20))
    mel = log_mel(clip)
    gate = speech_gate(clip, len(mel))
    gated = gate_silence(mel, gate)
    assert gated.mel.dtype == np.float32
    np.testing.assert_allclose(gated.mel[:, gate == 1], mel.mel[:, gate == 1], atol=SINGLE)
    np.testing.assert_array_equal(gated.mel[:, gate == 0], SILENCE)
    assert (gated.mel <= mel.mel + SINGLE).all()
    assert mel.mel[:, 100].max() > SILENCE
