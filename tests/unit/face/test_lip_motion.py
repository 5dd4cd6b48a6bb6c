"""Curves of lips against one another."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.face.lip_motion import late_frames


@pytest.mark.parametrize("late", [-9, -3, -1, 0, 2, 8])
def test_late_frames_of_a_shifted_curve(late: int) -> None:
    curve = np.random.default_rng(0).normal(size=120)
    assert late_frames(np.roll(curve, late)[10:-10], curve[10:-10], 10) == late
