"""Lips of speech that grows: the same as of the whole speech, soon enough."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.speech.lip_shapes import LipListener, hear_lips
from retalking.speech.live import LiveLips
from retalking.speech.voice_activity import hear_voice
from retalking.types import AudioClip, FloatArray
from tests.speech import RATE_HZ, vowels

ROUNDING = 2e-3
"""Of shapes, in standard deviations; kernels of other sizes sum in another order."""


def with_pauses() -> AudioClip:
    """Speech, a pause without a sound, speech, noise, speech; nowhere a whole number of steps."""
    rng = np.random.default_rng(0)
    parts = [
        vowels(1.53).samples,
        np.zeros(13_100, np.float32),
        vowels(0.8, level=0.03, seed=1).samples,
        0.001 * rng.standard_normal(30_000).astype(np.float32),
        vowels(0.61, seed=2).samples,
    ]
    return AudioClip(np.concatenate(parts).astype(np.float32), RATE_HZ)


def in_pieces(clip: AudioClip, sizes: list[int]) -> list[FloatArray]:
    ends = np.cumsum(sizes)
    return np.split(clip.samples, ends[ends < len(clip.samples)])


def test_growing_speech_says_the_same(untrained: LipListener) -> None:
    clip, look_ahead_s = with_pauses(), 0.2
    whole = hear_lips(clip, untrained, look_ahead_s)
    assert (hear_voice(clip, untrained.voice, live=True) < 0.1).sum() > 30  # pauses count
    rng = np.random.default_rng(1)
    lips, seen = LiveLips(untrained, look_ahead_s), []
    asked_s = 0.0
    for piece in in_pieces(clip, rng.integers(1, 9000, 200).tolist()):
        lips.add(piece)
        times = np.arange(asked_s, lips.known_s, 0.03)
        if len(times):
            seen.append(lips.at(times))
            asked_s = times[-1] + 0.03
    lips.end()
    assert lips.heard_s == pytest.approx(clip.duration_s)
    times = np.arange(asked_s, clip.duration_s + 0.2, 0.03)
    seen.append(lips.at(times))
    found = np.concatenate(seen)
    expected = whole.at(np.arange(len(found)) * 0.03).values
    assert np.abs(found - expected).max() < ROUNDING


def test_lips_are_known_as_soon_as_promised(untrained: LipListener) -> None:
    """The look-ahead, and a block of the voice's network that is being filled."""
    lips = LiveLips(untrained, 0.2)
    for piece in in_pieces(AudioClip(vowels(2.0).samples, RATE_HZ), [320] * 100):
        lips.add(piece)
        assert (
            lips.heard_s < 0.32 or lips.known_s > lips.heard_s - 0.2 - 0.1
        )  # lips are heard for 0.1 s at a time


def test_memory_does_not_grow_with_the_speech(untrained: LipListener) -> None:
    lips = LiveLips(untrained, 0.2)
    for _ in range(7):
        lips.add(vowels(1.0).samples)
        lips.at(np.array([lips.known_s]))
    assert len(lips._samples._kept) < 6 * RATE_HZ
    assert len(lips._values) < 10
