from __future__ import annotations

import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.mouth.warp.lip_measures import OPENING
from retalking.speech.lip_shapes import LipListener, LipShapes, hear_lips
from retalking.types import AudioClip
from tests.speech import RATE_HZ, vowels

CLOSED_WITHIN_S = 0.15
ROUNDING = 2e-3
"""Of shapes, in standard deviations; kernels of other sizes sum in another order."""


def speech(*parts: np.ndarray) -> AudioClip:
    return AudioClip(np.concatenate(parts).astype(np.float32), RATE_HZ)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


@pytest.mark.parametrize("num_samples", [1, 319, 320, 16_000])
def test_the_grid_covers_the_track_and_a_little_silence(
    untrained: LipListener, num_samples: int
) -> None:
    shapes = hear_lips(AudioClip(np.zeros(num_samples, np.float32), RATE_HZ), untrained)
    np.testing.assert_allclose(shapes.time_s, np.arange(len(shapes)) * 0.02)
    assert shapes.time_s[-1] == pytest.approx(-(-num_samples // 320) * 0.02 + 0.28)
    assert shapes.values.shape == shapes.certainty.shape == (len(shapes), 5)
    assert 0 <= shapes.certainty.min() <= shapes.certainty.max() <= 1


def test_what_comes_later_does_not_change_earlier_windows(untrained: LipListener) -> None:
    """Windows lie at fixed times, whatever the length of the track."""
    long = vowels(17.5)
    short = AudioClip(long.samples[: 9 * RATE_HZ], RATE_HZ)
    first_window = slice(0, 390)  # the voice is waited for a little beyond 8 s
    of_long, of_short = (hear_lips(clip, untrained).values[first_window] for clip in (long, short))
    np.testing.assert_allclose(of_short, of_long, atol=ROUNDING)


def test_live_use_hears_no_more_than_its_look_ahead(untrained: LipListener) -> None:
    clip, cut = vowels(3), round(2 * RATE_HZ)
    changed = clip.samples.copy()
    changed[cut:] = 0.3 * np.random.default_rng(0).standard_normal(len(changed) - cut)
    known = round((2 - 0.2) * 50)
    live, other = (
        hear_lips(AudioClip(samples, RATE_HZ), untrained, look_ahead_s=0.2)
        for samples in (clip.samples, changed)
    )
    np.testing.assert_array_equal(live.values[:known], other.values[:known])
    np.testing.assert_array_equal(live.speaking[:known], other.speaking[:known])
    assert np.abs(live.values[known + 10 :] - other.values[known + 10 :]).max() > 0.01


def test_a_shorter_look_ahead_than_the_voice_needs_is_refused(untrained: LipListener) -> None:
    with pytest.raises(ValueError, match=r"look_ahead_s: got 0\.1, expected 0\.17 or more"):
        hear_lips(vowels(0.5), untrained, look_ahead_s=0.1)


def test_lips_close_in_silence(bundled: LipListener) -> None:
    end_s = 2.5
    clip = speech(silence(0.5), vowels(end_s - 0.5).samples, silence(1))
    shapes = hear_lips(clip, bundled)
    closed = bundled.shapes.closed.numpy()
    resting = shapes.at([0.0, 0.3, end_s + CLOSED_WITHIN_S, end_s + 0.5])
    np.testing.assert_allclose(resting.values, np.tile(closed, (4, 1)), atol=0.05)
    np.testing.assert_allclose(resting.certainty, 1, atol=0.05)
    voiced = shapes.at(np.arange(0.8, 2.2, 0.02)).values[:, OPENING]
    assert voiced.mean() > closed[OPENING] + 0.5


def test_lips_close_after_the_end_of_the_track(bundled: LipListener) -> None:
    shapes = hear_lips(vowels(1.5), bundled)
    after = shapes.at([1.5 + CLOSED_WITHIN_S, 9.0])
    closed = np.tile(bundled.shapes.closed.numpy(), (2, 1))
    np.testing.assert_allclose(after.values, closed, atol=0.05)


@pytest.mark.parametrize("gain", [0.03, 4.0])
def test_loudness_does_not_matter(bundled: LipListener, gain: float) -> None:
    clip = vowels(3, level=0.05)
    louder = AudioClip(clip.samples * np.float32(gain), RATE_HZ)
    usual, other = (hear_lips(c, bundled).at(np.arange(0.5, 3, 0.02)) for c in (clip, louder))
    assert np.abs(usual.values - other.values).max() < 0.1


def test_shapes_are_interpolated_between_steps_and_held_beyond() -> None:
    time_s = np.arange(3) * 0.02
    ramp = np.arange(3, dtype=np.float32)
    shapes = LipShapes(
        time_s, np.tile(ramp[:, None], (1, 5)), np.ones((3, 5), np.float32), ramp / 2
    )
    found = shapes.at([0.03, -1.0, 0.01, 9.0])
    np.testing.assert_allclose(found.values[:, 0], [1.5, 0, 0.5, 2])
    np.testing.assert_allclose(found.speaking, [0.75, 0, 0.25, 1])


def test_shapes_check_themselves() -> None:
    with pytest.raises(ValueError, match=r"values: got float32\[2, 5\], expected float32\[3, 5\]"):
        LipShapes(np.arange(3.0), *(np.ones((2, 5), np.float32),) * 2, np.ones(3, np.float32))


def test_speech_at_another_rate_is_refused(untrained: LipListener) -> None:
    with pytest.raises(MediaError, match="44100 Hz, expected 16000"):
        hear_lips(AudioClip(np.zeros(100, np.float32), 44_100), untrained)
