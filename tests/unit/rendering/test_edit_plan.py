"""Which frames are edited and how strongly, on timelines that can be checked by eye."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.timeline import build_timeline
from tests.faces import frontal_landmarks, make_track


def plan_of(
    detected: list[int],
    shot_id: list[int] | None = None,
    seconds: float = 0.0,
    policy: str = "audio",
) -> EditPlan:
    frames = len(detected)
    track = make_track(
        np.repeat(frontal_landmarks()[None], frames, axis=0), [d > 0 for d in detected], shot_id
    )
    pts = np.arange(frames, dtype=np.int64) * 40
    timeline = build_timeline(
        pts,
        Fraction(1, 1000),
        Fraction(25),
        seconds or frames / 25,
        policy,  # type: ignore[arg-type]
    )
    return make_edit_plan(timeline, track)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 30])
def test_a_face_that_is_always_there_is_fully_shown(frames: int) -> None:
    plan = plan_of([1] * frames)
    assert len(plan) == frames
    np.testing.assert_array_equal(plan.opacity, 1)
    assert plan.opacity.dtype == np.float32
    np.testing.assert_array_equal(plan.run, 0)


@pytest.mark.parametrize("frames", [1, 7])
def test_without_a_face_nothing_is_edited(frames: int) -> None:
    np.testing.assert_array_equal(plan_of([0] * frames).opacity, 0)


def test_the_edit_fades_in_and_out_beside_missing_frames() -> None:
    plan = plan_of([0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1])
    expected = [0, 0.2, 0.4, 0.6, 0.8, 0.6, 0.4, 0.2, 0, 0, 0.2]
    np.testing.assert_allclose(plan.opacity, expected, rtol=1e-6)
    np.testing.assert_array_equal(plan.run, [0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3])


def test_the_fade_lasts_as_long_at_any_frame_rate() -> None:
    detected = np.ones(100, bool)
    detected[0] = False
    track = make_track(np.repeat(frontal_landmarks()[None], 100, axis=0), detected.tolist())
    timeline = build_timeline(np.arange(100, dtype=np.int64), Fraction(1, 100), Fraction(100), 1.0)
    opacity = make_edit_plan(timeline, track).opacity
    np.testing.assert_allclose(opacity[:20], np.minimum(np.arange(20) / 17, 1), rtol=1e-6)


def test_the_edit_does_not_fade_at_a_cut() -> None:
    plan = plan_of([0] * 5 + [1] * 10, shot_id=[0] * 5 + [1] * 10)
    assert plan.opacity.tolist() == [0.0] * 5 + [1.0] * 10


def test_a_run_ends_at_a_cut() -> None:
    plan = plan_of([1] * 6, [0, 0, 1, 1, 1, 2])
    np.testing.assert_array_equal(plan.run, [0, 0, 1, 1, 1, 2])
    np.testing.assert_array_equal(plan.opacity, 1)


def test_back_and_forth_is_one_run_and_a_loop_is_many() -> None:
    forth = plan_of([1] * 5, seconds=0.8)
    np.testing.assert_array_equal(forth.timeline.source_index[:8], [0, 1, 2, 3, 4, 3, 2, 1])
    np.testing.assert_array_equal(forth.run, 0)
    loop = plan_of([1] * 5, seconds=0.6, policy="loop")
    np.testing.assert_array_equal(loop.run, np.repeat([0, 1, 2], 5))


def test_a_held_last_frame_stays_in_its_run() -> None:
    plan = plan_of([1] * 3, seconds=0.4, policy="hold")
    np.testing.assert_array_equal(plan.timeline.source_index[2:], 2)
    np.testing.assert_array_equal(plan.run, 0)


def test_a_run_is_inactive_or_active_throughout() -> None:
    rng = np.random.default_rng(0)
    plan = plan_of((rng.random(200) < 0.8).astype(int).tolist(), seconds=20)
    for run in np.unique(plan.run):
        shown = plan.opacity[plan.run == run] > 0
        assert shown.all() or not shown.any()
