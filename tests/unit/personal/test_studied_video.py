from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retalking.face.crops import Pads
from retalking.mouth.warp.lending.candidates import MOST_PER_SHOT
from retalking.mouth.warp.speaker import study_speaker
from retalking.personal import studied_video
from retalking.personal.studied_video import choose_mouths
from tests.talking import BASIS, openings, talking_points, track_of, turns

FRAMES, FIRST = 480, 400


def test_more_mouths_are_kept_than_one_dub_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    track = track_of(talking_points(openings(FRAMES), turns(FRAMES)))
    track = dataclasses.replace(track, shot_id=(np.arange(FRAMES) >= FIRST).astype(np.int64))
    speaker = study_speaker(track, BASIS, Pads())
    kept = choose_mouths(track, speaker)
    assert FIRST > MOST_PER_SHOT
    np.testing.assert_array_equal(np.concatenate([kept[0], kept[1]]), np.arange(FRAMES))

    monkeypatch.setattr(studied_video, "MOST_MOUTHS", 240)  # as of a video of some minutes
    kept = choose_mouths(track, speaker)
    assert [150 < len(kept[0]) <= 200, 30 < len(kept[1]) <= 40] == [True, True]
    assert kept[0].max() < FIRST <= kept[1].min()

    monkeypatch.setattr(studied_video, "MOUTHS_BYTES", 1)  # as of mouths that are too large
    assert [len(frames) for frames in choose_mouths(track, speaker).values()] == [1, 1]
