from __future__ import annotations

import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.speech.windows import STEP_SAMPLES, Hearing, cut_windows, num_steps
from retalking.types import AudioClip


def counting_clip(num_samples: int) -> AudioClip:
    return AudioClip(np.arange(1, num_samples + 1, dtype=np.float32), 16_000)


@pytest.mark.parametrize("num_samples", [1, 320, 321, 5000])
@pytest.mark.parametrize("hearing", [Hearing(4, 3, 2), Hearing(1, 0, 0), Hearing(100, 5, 5)])
def test_every_step_is_answered_once_and_sees_its_surroundings(
    num_samples: int, hearing: Hearing
) -> None:
    clip = counting_clip(num_samples)
    answered = []
    for window in cut_windows(clip, hearing):
        assert len(window.samples) % STEP_SAMPLES == 0
        assert window.kept.stop - window.kept.start <= hearing.hop
        for step in range(window.kept.start, window.kept.stop):
            number = window.start + step - window.kept.start
            answered.append(number)
            # Sample n holds n + 1, and 0 lies beyond the end.
            at = window.samples[step * STEP_SAMPLES]
            assert at == (number * STEP_SAMPLES + 1 if number * STEP_SAMPLES < num_samples else 0)
            before = step * STEP_SAMPLES
            assert before == min(number, hearing.before + number % hearing.hop) * STEP_SAMPLES
    assert answered == list(range(num_steps(clip)))


@pytest.mark.parametrize("look_ahead_s", [0.04, 0.1, 0.16, 0.2])
def test_live_windows_hear_no_more_of_the_future(look_ahead_s: float) -> None:
    clip = counting_clip(40_000)
    for window in cut_windows(clip, Hearing.live(look_ahead_s)):
        first_answer = window.kept.start * STEP_SAMPLES
        assert len(window.samples) - first_answer <= look_ahead_s * 16_000


def test_what_cannot_be_heard_is_said() -> None:
    with pytest.raises(MediaError, match="got audio at 8000 Hz, expected 16000"):
        next(cut_windows(AudioClip(np.zeros(10, np.float32), 8000), Hearing.offline()))
    with pytest.raises(MediaError, match="no samples"):
        next(cut_windows(AudioClip(np.zeros(0, np.float32), 16_000), Hearing.offline()))
    with pytest.raises(ValueError, match=r"expected 0\.04 or more"):
        Hearing.live(0.03)
