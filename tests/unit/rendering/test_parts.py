"""Where a long output is cut into parts."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.parts import split_plan
from retalking.rendering.timeline import Timeline


def plan_of(frames: int, cuts: tuple[int, ...] = ()) -> EditPlan:
    index = np.arange(frames, dtype=np.int64)
    timeline = Timeline(index, index, frames, Fraction(1, 10), index / 10)
    run = np.searchsorted(np.array(cuts), index, side="right").astype(np.int64)
    return EditPlan(timeline, np.ones(frames, np.float32), run)


def test_parts_end_at_cuts_or_else_where_it_is_quiet() -> None:
    loudness = np.ones(100, np.float32)
    loudness[[13, 47]] = 0.0  # 13 is too early to end the first part
    parts = split_plan(plan_of(100, cuts=(5, 25, 28)), loudness, part_s=3.0)
    assert parts[:2] == ((0, 28), (28, 47))


@pytest.mark.parametrize("part_s", [0.05, 0.1, 0.7, 3.3, 9.9])
def test_parts_follow_each_other_and_are_short_enough(part_s: float) -> None:
    loudness = np.random.default_rng(0).random(100).astype(np.float32)
    parts = split_plan(plan_of(100), loudness, part_s)
    assert parts[0][0] == 0
    assert parts[-1][1] == 100
    assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
    assert all(0 < last - first <= max(1, part_s * 10) for first, last in parts)


def test_what_is_short_stays_whole() -> None:
    assert split_plan(plan_of(100), np.ones(100, np.float32), 10.0) == ((0, 100),)
