"""Output frame -> source frame, by closed form."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from retalking.errors import ConfigError, MediaError
from retalking.rendering.timeline import Timeline, build_timeline, nearest_frame_rate

TIME_BASE = Fraction(1, 1000)
RATE = Fraction(25)


def _even(frames: int, step: int = 40) -> np.ndarray:
    return np.arange(frames, dtype=np.int64) * step


def _build(pts: np.ndarray, seconds: float, policy: str = "audio") -> Timeline:
    return build_timeline(pts, TIME_BASE, RATE, seconds, policy)  # type: ignore[arg-type]


def test_equal_lengths_give_every_frame_once() -> None:
    for policy in ("audio", "loop", "hold", "video"):
        timeline = _build(_even(25), 1.0, policy)
        np.testing.assert_array_equal(timeline.source_index, np.arange(25))
        np.testing.assert_array_equal(timeline.pts, _even(25))
        assert timeline.duration_s == 1.0


def test_ping_pong_shows_no_end_twice() -> None:
    timeline = _build(_even(4), 0.04 * 11)
    np.testing.assert_array_equal(timeline.source_index, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2])
    np.testing.assert_array_equal(timeline.pts, _even(11))


def test_ping_pong_mirrors_uneven_gaps() -> None:
    pts = np.array([100, 110, 140, 240], dtype=np.int64)
    timeline = _build(pts, 0.42)
    np.testing.assert_array_equal(timeline.source_index, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3][:9])
    np.testing.assert_array_equal(timeline.pts, [0, 10, 40, 140, 240, 270, 280, 290, 320])
    assert timeline.end_pts == 420


def test_loop_starts_again_after_the_median_gap() -> None:
    pts = np.array([5, 15, 55, 65], dtype=np.int64)
    timeline = _build(pts, 0.135, "loop")
    np.testing.assert_array_equal(timeline.source_index, [0, 1, 2, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(timeline.pts, [0, 10, 50, 60, 70, 80, 120, 130])
    assert timeline.end_pts == 140


def test_hold_repeats_the_last_frame() -> None:
    timeline = _build(_even(3), 0.2, "hold")
    np.testing.assert_array_equal(timeline.source_index, [0, 1, 2, 2, 2])
    np.testing.assert_array_equal(timeline.pts, _even(5))


@pytest.mark.parametrize("policy", ["audio", "loop", "hold"])
def test_shorter_audio_cuts_after_the_frame_it_ends_in(policy: str) -> None:
    assert len(_build(_even(25), 0.41, policy)) == 11
    assert len(_build(_even(25), 0.40, policy)) == 10
    assert len(_build(_even(25), 0.0001, policy)) == 1


def test_video_policy_keeps_the_video() -> None:
    for seconds in (0.1, 9.0):
        timeline = _build(_even(25), seconds, "video")
        np.testing.assert_array_equal(timeline.source_index, np.arange(25))


@pytest.mark.parametrize("policy", ["audio", "loop", "hold"])
@pytest.mark.parametrize("samples", [1, 16000, 16001, 47999, 160000])
def test_every_sample_is_covered_by_less_than_one_spare_frame(policy: str, samples: int) -> None:
    step = 1001
    time_base = Fraction(1, 30000)
    timeline = build_timeline(
        _even(31, step),
        time_base,
        Fraction(30000, 1001),
        samples / 16000,
        policy,  # type: ignore[arg-type]
    )
    assert timeline.duration_s >= samples / 16000 - 1e-6
    assert timeline.duration_s - samples / 16000 < step / 30000
    np.testing.assert_array_equal(np.diff(timeline.pts), step)


def test_still_image_lasts_one_frame_period_each() -> None:
    rate = Fraction(30000, 1001)
    for policy in ("audio", "loop", "hold"):
        timeline = build_timeline(np.array([0]), 1 / rate, rate, 2.0, policy)  # type: ignore[arg-type]
        assert len(timeline) == 60
        assert set(timeline.source_index) == {0}
        np.testing.assert_array_equal(timeline.pts, np.arange(60))


def test_two_frames_alternate() -> None:
    np.testing.assert_array_equal(_build(_even(2), 0.2).source_index, [0, 1, 0, 1, 0])


def test_sync_offset_moves_only_the_audio_moment() -> None:
    plain = _build(_even(5), 0.2)
    shifted = build_timeline(_even(5), TIME_BASE, RATE, 0.2, sync_offset_s=-0.08)
    np.testing.assert_array_equal(plain.pts, shifted.pts)
    np.testing.assert_allclose(shifted.audio_time_s, plain.time_s - 0.08)
    np.testing.assert_allclose(plain.audio_time_s, plain.time_s)


def test_an_hour_stays_on_the_grid() -> None:
    timeline = _build(_even(250), 3600.0)
    assert len(timeline) == 90000
    assert np.abs(np.diff(timeline.source_index)).max() == 1


def test_bad_input_is_told() -> None:
    with pytest.raises(MediaError, match="no frame"):
        _build(np.zeros(0, dtype=np.int64), 1.0)
    with pytest.raises(MediaError, match="do not increase"):
        _build(np.array([0, 40, 40]), 1.0)
    with pytest.raises(ConfigError, match="length policy: got 'pingpong'"):
        _build(_even(3), 1.0, "pingpong")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (25.0, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
        (30.0, Fraction(30)),
    ],
)
def test_decimal_rates_mean_the_broadcast_fraction(value: float, expected: Fraction) -> None:
    assert nearest_frame_rate(value) == expected


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="frame rate"):
        nearest_frame_rate(value)
