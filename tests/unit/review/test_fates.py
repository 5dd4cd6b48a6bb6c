"""Which frames were edited, and why others were not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from retalking.rendering.edit_plan import make_edit_plan
from retalking.rendering.timeline import build_timeline
from retalking.review.fates import Fates
from retalking.types import FaceTrack


def test_fates_tell_a_lost_face_from_a_turned_one() -> None:
    count = 40
    confidence = np.ones(count, np.float32)
    detected = np.ones(count, np.bool_)
    confidence[10:14] = 0
    detected[10:14] = False  # not found
    detected[30:33] = False  # found, but turned away
    track = FaceTrack(
        np.zeros((count, 4), np.float32),
        np.zeros((count, 68, 2), np.float32),
        confidence,
        detected,
        np.zeros(count, np.int64),
    )
    timeline = build_timeline(np.arange(count), Fraction(1, 25), Fraction(25), count / 25)
    fates = Fates.of(make_edit_plan(timeline, track), track)
    ranges = fates.ranges()
    assert ranges["no face"] == "10-13"
    assert ranges["turned away"] == "30-32"
    assert fates.counts()["edited"] + fates.counts()["fading"] == count - 7
    assert fates.are("fading")[[9, 14, 29, 33]].all()
