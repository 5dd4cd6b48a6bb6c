from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from retalking.arrays import scratch
from retalking.face.smoothing import savitzky_golay, smooth_track
from tests.rounding import DOUBLE


def parabola(num_frames: int) -> np.ndarray:
    time = np.arange(num_frames, dtype=np.float32)[:, None]
    return (time**2 * [0.1, -0.2] + time * [1, 2] + [3, 4]).astype(np.float32)


@pytest.mark.parametrize(("window", "order"), [(9, 2), (7, 3), (5, 0), (3, 2)])
@pytest.mark.parametrize("shape", [(40,), (11, 3), (9, 68, 2)])
def test_the_filter_is_the_one_of_scipy(shape: tuple[int, ...], window: int, order: int) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    expected = savgol_filter(values, window, order, axis=0, mode="interp")
    np.testing.assert_allclose(savitzky_golay(values, window, order), expected, atol=DOUBLE)


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


@pytest.mark.parametrize("num_frames", [31, 32, 33, 64, 65, 100])
def test_long_tracks_are_filtered_block_by_block(
    monkeypatch: pytest.MonkeyPatch, num_frames: int
) -> None:
    values = np.random.default_rng(0).normal(size=(num_frames, 3)).astype(np.float32)
    known = np.ones(num_frames, bool), np.zeros(num_frames, np.int64)
    expected = smooth_track(values, *known, window=9)
    monkeypatch.setattr(scratch, "BLOCK_FRAMES", 16)
    np.testing.assert_allclose(smooth_track(values, *known, window=9), expected, atol=1e-6)


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


@pytest.mark.parametrize(("window", "order"), [(6, 2), (5, 5), (5, -1)])
def test_impossible_filters_are_refused(window: int, order: int) -> None:
    with pytest.raises(ValueError, match=f"got window {window} and order {order}"):
        smooth_track(parabola(9), np.ones(9, bool), np.zeros(9, np.int64), window, order)
