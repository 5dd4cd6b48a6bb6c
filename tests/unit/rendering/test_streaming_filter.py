"""The filter gives what scipy gives, however its input is cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.signal import savgol_filter

from retalking.rendering.streaming_filter import smooth_stream
from tests.rounding import DOUBLE


def chunked(
    values: np.ndarray, runs: np.ndarray, size: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for start in range(0, len(values), size):
        yield start, values[start : start + size], runs[start : start + size]


def smooth(values: np.ndarray, runs: np.ndarray, size: int) -> np.ndarray:
    results = list(smooth_stream(chunked(values, runs, size)))
    assert [payload for payload, _ in results] == list(range(0, len(values), size))
    return np.concatenate([smoothed for _, smoothed in results])


def test_inside_a_run_it_is_the_savitzky_golay_filter() -> None:
    values = np.random.default_rng(0).normal(size=(60, 3, 2))
    expected = savgol_filter(values, 9, 2, axis=0)
    result = smooth(values, np.zeros(60, np.int64), 7)
    np.testing.assert_allclose(result[4:-4], expected[4:-4], rtol=DOUBLE, atol=DOUBLE)


@pytest.mark.parametrize("size", [1, 3, 7, 16])
def test_the_size_of_the_chunks_does_not_matter(size: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, 3, 2))
    runs = np.cumsum(rng.random(50) < 0.15).astype(np.int64)
    np.testing.assert_array_equal(smooth(values, runs, size), smooth(values, runs, 50))


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 9, 20])
def test_a_parabola_passes_unchanged_at_any_length(frames: int) -> None:
    time = np.arange(frames, dtype=float)
    values = np.stack([0.1 * time**2 - time, 5 - 0.3 * time**2], axis=1)
    np.testing.assert_allclose(
        smooth(values, np.zeros(frames, np.int64), 4), values, rtol=1e-9, atol=1e-9
    )


def test_where_nothing_is_smoothed_nothing_waits() -> None:
    drawn: list[int] = []

    def draw() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for start, values, runs in chunked(np.empty((6, 0)), np.zeros(6, np.int64), 1):
            drawn.append(start)
            yield start, values, runs

    for start, values in smooth_stream(draw()):
        assert values.shape == (1, 0)
        assert drawn[-1] == start


def test_runs_never_mix() -> None:
    rng = np.random.default_rng(2)
    values, runs = rng.normal(size=(30, 2)), np.repeat([0, 1, 2, 3], [11, 1, 6, 12])
    together = smooth(values, runs, 5)
    for run in range(4):
        alone = values[runs == run]
        expected = smooth(alone, np.zeros(len(alone), np.int64), 5)
        np.testing.assert_allclose(together[runs == run], expected, rtol=DOUBLE, atol=DOUBLE)
    moved = values + 1e6 * (runs[:, None] == 2)
    np.testing.assert_array_equal(smooth(moved, runs, 5)[runs != 2], together[runs != 2])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_chunk_comes_out_as_soon_as_four_frames_follow_it(size: int) -> None:
    drawn = 0

    def count() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        nonlocal drawn
        for chunk in chunked(np.zeros((40, 1)), np.zeros(40, np.int64), size):
            drawn += len(chunk[1])
            yield chunk

    for start, smoothed in smooth_stream(count()):
        stop = start + len(smoothed)
        assert drawn <= min(-(-(stop + 4) // size) * size, 40)


def test_nothing_in_nothing_out_and_the_input_stays() -> None:
    assert list(smooth_stream(iter(()))) == []
    values = np.random.default_rng(3).normal(size=(20, 2))
    before = values.copy()
    smooth(values, np.zeros(20, np.int64), 20)
    np.testing.assert_array_equal(values, before)
