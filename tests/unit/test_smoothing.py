from __future__ import annotations

import numpy as np
import pytest

from retalking.smoothing import bridge_gaps, smooth_track


def parabola(num_frames: int) -> np.ndarray:
    time = np.arange(num_frames, dtype=np.float32)[:, None]
    return (time**2 * [0.1, -0.2] + time * [1, 2] + [3, 4]).astype(np.float32)


def test_a_gap_is_bridged_by_a_line() -> None:
    values = np.array([[0.0], [9], [9], [3], [4]], np.float32)
    detected = np.array([True, False, False, True, True])
    filled, known = bridge_gaps(values, detected, np.zeros(5, np.int64), max_gap=2)
    np.testing.assert_allclose(filled[:, 0], [0, 1, 2, 3, 4], atol=1e-6)
    assert known.all()
    np.testing.assert_array_equal(values[1:3], 9)
    assert not detected[1]


def test_points_are_bridged_like_boxes() -> None:
    values = np.zeros((3, 68, 2), np.float32)
    values[2] = 2
    filled, _ = bridge_gaps(values, np.array([True, False, True]), np.zeros(3, np.int64), 1)
    np.testing.assert_allclose(filled[1], 1)


@pytest.mark.parametrize(
    ("detected", "shot", "max_gap"),
    [
        ([1, 0, 0, 0, 1], [0, 0, 0, 0, 0], 2),  # too long
        ([1, 0, 0, 1, 1], [0, 0, 1, 1, 1], 5),  # across a cut
        ([0, 0, 1, 0, 0], [0, 0, 0, 0, 0], 5),  # nothing on the other side
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 5),
    ],
)
def test_other_gaps_stay_open(detected: list[int], shot: list[int], max_gap: int) -> None:
    values = np.arange(5, dtype=np.float32)[:, None] ** 2
    seen = np.array(detected, bool)
    filled, known = bridge_gaps(values, seen, np.array(shot), max_gap)
    np.testing.assert_array_equal(filled, values)
    np.testing.assert_array_equal(known, seen)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 6, 7, 30])
def test_a_parabola_passes_unchanged_at_any_length(num_frames: int) -> None:
    values = parabola(num_frames)
    smooth = smooth_track(values, np.ones(num_frames, bool), np.zeros(num_frames, np.int64))
    np.testing.assert_allclose(smooth, values, rtol=1e-4, atol=1e-4)


def test_noise_gets_smaller_by_the_filter_gain() -> None:
    noise = np.random.default_rng(0).normal(size=(2000, 68, 2)).astype(np.float32)
    smooth = smooth_track(noise, np.ones(2000, bool), np.zeros(2000, np.int64), window=7, order=2)
    # The centre weight of the 7-point quadratic filter, 7/21, is its noise power gain.
    assert smooth[3:-3].var() == pytest.approx(1 / 3, rel=0.02)


def test_a_jump_at_a_cut_stays_sharp() -> None:
    values = np.repeat([[0.0], [100.0]], 20, axis=0).astype(np.float32)
    smooth = smooth_track(values, np.ones(40, bool), np.repeat([0, 1], 20))
    np.testing.assert_allclose(smooth, values, atol=1e-4)


def test_undetected_frames_are_neither_used_nor_changed() -> None:
    values = parabola(21)
    detected = np.ones(21, bool)
    values[10], detected[10] = np.nan, False
    smooth = smooth_track(values, detected, np.zeros(21, np.int64))
    assert np.isnan(smooth[10]).all()
    np.testing.assert_allclose(smooth[detected], values[detected], rtol=1e-4, atol=1e-4)


def test_an_empty_track_stays_empty() -> None:
    empty = np.zeros((0, 4), np.float32)
    none, no_shot = np.zeros(0, bool), np.zeros(0, np.int64)
    assert smooth_track(empty, none, no_shot).shape == (0, 4)
    assert bridge_gaps(empty, none, no_shot, 3)[0].shape == (0, 4)


@pytest.mark.parametrize(("window", "order"), [(6, 2), (5, 5), (5, -1)])
def test_impossible_filters_are_refused(window: int, order: int) -> None:
    with pytest.raises(ValueError, match=f"got window {window} and order {order}"):
        smooth_track(parabola(9), np.ones(9, bool), np.zeros(9, np.int64), window, order)
