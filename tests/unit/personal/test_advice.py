from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retalking.metrics.speech_fit import SpeechFit
from retalking.mouth.warp.lip_measures import OPENING
from retalking.personal.advice import advise
from retalking.personal.studied_video import OwnSpeech, StudiedVideo

FRAMES = 1500


@pytest.fixture
def good() -> StudiedVideo:
    beat = np.arange(FRAMES) / 25
    lips = np.zeros((FRAMES, 5))
    lips[:, OPENING] = np.maximum(0.12 * (1 - np.cos(9 * beat)), 0)
    angles = np.stack([0.08 * np.sin(beat), 0.3 * np.sin(0.7 * beat), 0 * beat], axis=1)
    return StudiedVideo(
        path=Path("talk.mp4"),
        num_frames=FRAMES,
        time_s=beat,
        angles=angles,
        lips=lips,
        mouth_px=90.0,
        brightness=130.0,
        flawed=0.05,
        bank=None,
        mouths_s=np.zeros(0),
        speech=OwnSpeech(np.zeros((4, 10), np.float32), SpeechFit(0.01, 0.8), 0.9),
    )


def changed(video: StudiedVideo, **values: object) -> list[str]:
    return advise([dataclasses.replace(video, **values)])  # type: ignore[arg-type]


def test_of_a_good_recording_nothing_is_missing(good: StudiedVideo) -> None:
    assert advise([good]) == []


def test_each_fault_is_said_in_one_sentence(good: StudiedVideo) -> None:
    assert good.speech is not None
    faults: dict[str, dict[str, object]] = {
        "open mouths": {"lips": 0.4 * good.lips},
        "closed mouths": {"lips": good.lips + 0.1},
        "the head turns by 0 degrees": {"angles": good.angles * (1, 0, 1)},
        "the head nods by 0 degrees": {"angles": good.angles * (0, 1, 1)},
        "the face is dark (30 of 255)": {"brightness": 30.0},
        "too bright": {"brightness": 240.0},
        "the mouth is 20 px wide": {"mouth_px": 20.0},
        "40% of the mouths": {"flawed": 0.4},
        "little or none is heard": {"speech": None},
        "does not fit the lips": {
            "speech": dataclasses.replace(good.speech, fit=SpeechFit(0.1, 0.1))
        },
        "120 ms later": {"speech": dataclasses.replace(good.speech, fit=SpeechFit(0.12, 0.8))},
    }
    for words, values in faults.items():
        said = changed(good, **values)
        assert len(said) == 1, (words, said)
        assert words in said[0]


def test_seconds_of_all_videos_count_together(good: StudiedVideo) -> None:
    half = dataclasses.replace(
        good,
        time_s=good.time_s[:500],
        lips=good.lips[:500],
        angles=good.angles[:500],
    )
    assert any("seconds" in sentence for sentence in advise([half]))
    assert not any("seconds" in sentence for sentence in advise([half, half]))
