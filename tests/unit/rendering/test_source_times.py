"""Frames of slow videos are repeated, and rounded times made exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from retalking.rendering.source_times import exact_times, source_times
from retalking.rendering.timeline import build_timeline

NTSC = Fraction(30000, 1001)
MS = Fraction(1, 1000)


def rounded(rate: Fraction, numbers: np.ndarray, start: float = 0.0) -> np.ndarray:
    """Times in milliseconds as Matroska stores them."""
    return np.array([round(start + 1000 * int(n) / rate) for n in numbers], dtype=np.int64)


@pytest.mark.parametrize("rate", [NTSC, Fraction(24000, 1001), Fraction(30), Fraction(60)])
@pytest.mark.parametrize("start", [0.0, 7.0, 21.4])
def test_milliseconds_become_exact(rate: Fraction, start: float) -> None:
    pts, time_base = exact_times(rounded(rate, np.arange(3000), start), MS, rate)
    assert {int(gap) * time_base for gap in np.unique(np.diff(pts))} == {1 / rate}


def test_frames_that_were_left_out_stay_out() -> None:
    numbers = np.delete(np.arange(500), [3, 77, 78, 300])
    pts, time_base = exact_times(rounded(NTSC, numbers), MS, NTSC)
    np.testing.assert_array_equal(pts * time_base * NTSC, numbers)


@pytest.mark.parametrize(
    ("pts", "rate"),
    [
        (np.arange(100) * 40, Fraction(25)),  # exact already
        (np.cumsum(np.arange(100) % 7 + 30), Fraction(30)),  # jitter
        (rounded(NTSC, np.arange(3000)), Fraction(30)),  # another rate than is told
        (np.array([5]), NTSC),
    ],
)
def test_other_times_are_kept(pts: np.ndarray, rate: Fraction) -> None:
    got, time_base = exact_times(pts.astype(np.int64), MS, rate)
    if len(pts) > 1:
        assert time_base == MS
        np.testing.assert_array_equal(got, pts - pts[0])
    assert got[0] == 0


@pytest.mark.parametrize(
    ("rate", "time_base", "expected"),
    [
        (Fraction(1), Fraction(1), 25),  # a film of stills, in AVI
        (Fraction(10), Fraction(1, 10), 30),
        (Fraction(15), Fraction(1, 15360), 30),
        (Fraction(25, 2), Fraction(2, 25), 25),
    ],
)
def test_slow_films_get_frames_at_even_times(
    rate: Fraction, time_base: Fraction, expected: int
) -> None:
    ticks = 1 / (rate * time_base)
    pts = np.arange(6, dtype=np.int64) * int(ticks)
    times = source_times(pts, time_base, rate, 20.0)
    gaps = np.diff(np.append(times.pts, times.pts[-1] + times.last_ticks))
    assert {int(gap) * times.time_base for gap in gaps} == {Fraction(1, expected)}
    np.testing.assert_array_equal(np.bincount(times.index), np.full(6, expected / rate))
    assert (times.pts[-1] + times.last_ticks) * times.time_base == 6 / rate


@pytest.mark.parametrize("rate", [20, 24, 25, 60])
def test_other_films_get_none(rate: int) -> None:
    pts = np.arange(50, dtype=np.int64) * (1200 // rate)
    times = source_times(pts, Fraction(1, 1200), Fraction(rate), 20.0)
    np.testing.assert_array_equal(times.pts, pts)
    np.testing.assert_array_equal(times.index, np.arange(50))


def test_a_pause_in_a_usual_film_is_filled() -> None:
    """A recording of a screen, where nothing moved for two seconds."""
    pts = np.array([0, 40, 80, 2080, 2120], dtype=np.int64)
    times = source_times(pts, MS, Fraction(25), 20.0)
    seconds = np.diff(times.pts) * float(times.time_base)
    assert seconds.max() < 1 / 23
    assert seconds.min() > 1 / 27
    first = [int(np.argmax(times.index == n)) for n in range(5)]
    np.testing.assert_allclose(times.pts[first] * float(times.time_base), pts / 1000, atol=1e-9)


def test_damaged_times_do_not_become_millions_of_frames() -> None:
    pts = np.array([0, 40, 10**9], dtype=np.int64)
    assert len(source_times(pts, MS, Fraction(25), 20.0).pts) == 3


@pytest.mark.parametrize("policy", ["audio", "loop", "hold", "video"])
def test_the_timeline_is_as_long_as_without(policy: str) -> None:
    pts = np.array([0, 1000, 1500, 2500], dtype=np.int64)
    sparse, dense = (
        build_timeline(pts, MS, Fraction(1), 6.9, policy, min_rate_hz=hz)  # type: ignore[arg-type]
        for hz in (0.0, 20.0)
    )
    assert dense.duration_s == pytest.approx(sparse.duration_s, abs=1.0)
    assert np.diff(dense.time_s).max() < 1 / 20
    assert (np.abs(np.diff(dense.source_index)) <= 1).all() or policy == "loop"
    if policy != "video":
        assert 6.9 <= dense.duration_s < 7.0
    assert 20 < dense.frame_rate < 30
