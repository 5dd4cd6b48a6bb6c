"""Numbers in files: the same as in memory, without taking any."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from retalking.arrays import scratch

RNG = np.random.default_rng(0)
MANY = RNG.normal(size=(3000, 68, 2))  # 3.3 MB
FEW = MANY[:10]


@pytest.mark.parametrize("array", [FEW, MANY])
def test_what_is_kept_is_what_was_given(array: np.ndarray) -> None:
    kept = scratch.keep(array)
    scratch.let_go()
    np.testing.assert_array_equal(kept, array)
    assert (kept is array) == (array is FEW)


def test_what_is_written_outlives_letting_go() -> None:
    array = scratch.zeros(MANY.shape, MANY.dtype)
    assert not array.any()
    for rows in scratch.blocks(len(array), 700):
        array[rows] = MANY[rows]
    scratch.let_go()
    np.testing.assert_array_equal(array, MANY)


@pytest.mark.parametrize(
    "chosen", [slice(None, None, 2), RNG.integers(0, 3000, 2500), MANY[:, 0, 0] > 0]
)
def test_rows_are_taken_as_by_an_index(chosen: np.ndarray | slice) -> None:
    taken = scratch.take(MANY, chosen)
    np.testing.assert_array_equal(taken, MANY[chosen])
    taken[0] += 1
    assert not np.array_equal(taken, MANY[chosen])


@pytest.mark.parametrize("count", [0, 10, 3000])
def test_rows_that_are_added_come_back_in_order(count: int) -> None:
    rows = scratch.Rows((68, 2), np.float64)
    for row in MANY[: count // 2]:
        rows.add(row)
    rows.add(MANY[count // 2 : count])
    np.testing.assert_array_equal(rows.array(), MANY[:count])


def test_a_full_disk_costs_memory_and_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    make_room = scratch._make_room

    def full(file: IO[bytes], num_bytes: int) -> None:
        if num_bytes > 2 * 2**20:
            raise OSError(28, "No space left on device")
        make_room(file, num_bytes)

    monkeypatch.setattr(scratch, "_make_room", full)
    rows = scratch.Rows((68, 2), np.float64)
    for row in MANY:
        rows.add(row)
    np.testing.assert_array_equal(rows.array(), MANY)
    np.testing.assert_array_equal(scratch.keep(MANY), MANY)


def test_no_file_is_left_to_be_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = scratch.keep(MANY)
    np.testing.assert_array_equal(kept, MANY)
    if sys.platform == "linux":  # elsewhere it is removed when it is closed
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is held")
def test_blocks_take_the_memory_of_a_block() -> None:
    """64 MB are written and read; the room is for what other tests' threads do meanwhile."""

    def held_bytes() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return 4096 * pages

    array = scratch.zeros((2**16, 128), np.float64)
    before, most, total = held_bytes(), 0, 0.0
    for rows in scratch.blocks(len(array)):
        array[rows] = 1
        most = max(most, held_bytes())
    for rows in scratch.blocks(len(array)):
        total += array[rows].sum()
        most = max(most, held_bytes())
    assert total == array.size
    assert most - before < 32 * 2**20
