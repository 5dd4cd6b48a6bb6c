from __future__ import annotations

import numpy as np

from retalking.mouth.warp.lip_measures import OPENING, WIDTH
from retalking.mouth.warp.turns import level_lips
from tests.talking import openings, turns

FRAMES = 200  # whole cycles of both
LEAST = np.array([0.1, 0.9, 1.7, 0.7, 0.3])


def _lips(yaw: np.ndarray, error: float) -> np.ndarray:
    """Lips that open, and whose landmarks take turns for width."""
    lips = np.repeat(LEAST[None], FRAMES, axis=0)
    lips[:, OPENING] += openings(FRAMES)
    lips[:, WIDTH] += error * yaw
    return lips


def _angles(yaw: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros(FRAMES), yaw, np.zeros(FRAMES)], axis=1)


def test_turns_leave_the_lips() -> None:
    yaw = turns(FRAMES, 20.0)
    lips = _lips(yaw, 0.5)
    level = level_lips(lips, _angles(yaw))
    # Thirty frames of typical turns are trusted to change no lips: an eighteenth of what is seen.
    assert np.ptp(level[:, WIDTH]) < 0.15 * np.ptp(lips[:, WIDTH])
    np.testing.assert_allclose(level.mean(axis=0), lips.mean(axis=0))
    np.testing.assert_array_equal(level[:, OPENING], lips[:, OPENING])


def test_a_head_that_hardly_turns_says_nothing() -> None:
    yaw = turns(FRAMES, 0.5)
    lips = _lips(yaw, 5.0)
    change = level_lips(lips, _angles(yaw)) - lips
    assert np.abs(change).max() < 0.05 * np.ptp(lips[:, WIDTH])


def test_one_frame_stays_as_it_is() -> None:
    np.testing.assert_array_equal(level_lips(LEAST[None], np.full((1, 3), 0.4)), LEAST[None])
