from __future__ import annotations

import numpy as np
import pytest

from retalking.mouth.warp.lip_measures import OPENING, WIDTH
from retalking.mouth.warp.lip_range import TYPICAL_DEVIATION, measure_range

SPEECH = np.array([0.12, 0.9, 1.65, 0.7, 0.27]) + TYPICAL_DEVIATION * np.random.default_rng(
    0
).normal(0, 1, (200, 5)).clip(-1.6, 3)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.7])
def test_closed_lips_close_at_any_strength(strength: float) -> None:
    speaker = measure_range(SPEECH)
    wanted = speaker.place(np.full((1, 5), -2.5), strength)
    assert wanted[0, OPENING] == pytest.approx(np.percentile(SPEECH[:, OPENING], 2))


def test_strength_scales_the_movement() -> None:
    speaker = measure_range(SPEECH)
    shapes = np.random.default_rng(1).normal(0, 0.5, (50, 5))
    whole, half = speaker.place(shapes), speaker.place(shapes, 0.5)
    assert half[:, WIDTH].std() == pytest.approx(0.5 * whole[:, WIDTH].std(), rel=0.05)
    assert speaker.place(shapes, 0.0).std(axis=0).max() < 1e-9


def test_nothing_beyond_what_the_speaker_shows_is_asked_for() -> None:
    speaker = measure_range(SPEECH)
    wanted = speaker.place(np.stack([np.full(5, 40.0), np.full(5, -40.0)]))
    assert (wanted[0] <= speaker.high).all()
    assert (wanted[1] >= speaker.low).all()
    few = speaker.place(np.linspace(-3, 3, 99)[:, None] * np.ones(5))
    assert (np.diff(few, axis=0) >= 0).all()


def test_usual_shapes_come_as_they_are_asked_for() -> None:
    speaker = measure_range(SPEECH)
    wanted = speaker.place(np.full((1, 5), 0.5))
    expected = 0.5 * speaker.deviation
    expected[WIDTH] *= 1.3  # a part of it gets lost
    np.testing.assert_allclose(wanted[0], speaker.mean + expected)


def test_lips_that_nearly_close_meet() -> None:
    """In 33 clips of talking people a tenth of the frames is below -1.2 deviations."""
    speaker = measure_range(SPEECH)
    nearly = np.zeros((2, 5))
    nearly[:, OPENING] = -1.2, 1.2
    wanted = speaker.place(nearly)
    below, above = np.abs(wanted - speaker.mean)[:, OPENING] / speaker.deviation[OPENING]
    assert below == pytest.approx(1.4 * above)
    assert wanted[0, OPENING] < speaker.low[OPENING] + 0.1 * speaker.deviation[OPENING]


def test_a_photograph_and_silent_lips_have_the_range_of_people() -> None:
    still = measure_range(SPEECH[:1])
    silent = measure_range(SPEECH[:1] + np.zeros((300, 1)))
    for speaker in (still, silent):
        np.testing.assert_allclose(speaker.deviation, TYPICAL_DEVIATION)
        assert speaker.high[OPENING] > speaker.mean[OPENING] > speaker.low[OPENING]


def test_lips_never_seen_closed_can_close() -> None:
    smile = np.array([[0.15, 1.1, 1.7, 0.7, 0.27]])
    speaker = measure_range(smile)
    assert speaker.place(np.full((1, 5), -3.0))[0, OPENING] < 0.02
