from __future__ import annotations

import numpy as np
import pytest

from retalking.metrics.speech_fit import fit_speech

TOLD_S = np.arange(0, 12, 0.02)


def opening(moments: np.ndarray) -> np.ndarray:
    """Syllables of no regular beat."""
    return np.sin(9 * moments) + np.sin(23 * moments + 1) + 0.5 * np.sin(37 * moments)


@pytest.mark.parametrize("late_s", [-0.17, 0.0, 0.04, 0.093])
def test_the_offset_is_found_to_a_quarter_of_a_frame(late_s: float) -> None:
    rng = np.random.default_rng(0)
    seen_s = np.arange(275) / 25
    seen = opening(seen_s) + rng.normal(0, 0.5, len(seen_s))
    seen[40:60] = np.nan  # no face
    found = fit_speech(TOLD_S, opening(TOLD_S - late_s), seen_s, seen)
    assert found.offset_s == pytest.approx(late_s, abs=0.01)
    assert found.fit > 0.8


def test_foreign_speech_does_not_fit() -> None:
    seen = np.random.default_rng(1).normal(0, 1, 250)
    assert fit_speech(TOLD_S, opening(TOLD_S), np.arange(250) / 25, seen).fit < 0.3


def test_nothing_is_said_of_too_little() -> None:
    seen = np.full(250, np.nan)
    seen[:5] = 1.0
    found = fit_speech(TOLD_S, opening(TOLD_S), np.arange(250) / 25, seen)
    assert (found.offset_s, found.fit) == (0.0, 0.0)
