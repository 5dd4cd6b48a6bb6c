"""Seconds and frames per stage."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from retalking.timings import Timings, peak_memory_bytes


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_stages_add_up_in_the_order_in_which_they_came(clock: list[float]) -> None:
    timings = Timings()
    for stage, seconds, frames in (("b", 1.5, 10), ("a", 0.5, 3), ("b", 0.25, 5)):
        with timings.measure(stage, frames):
            clock[0] += seconds
    timings.count("a", 4)
    assert timings.rows() == [("b", 1.75, 15), ("a", 0.5, 7)]


def test_the_table_shows_milliseconds_per_frame(clock: list[float]) -> None:
    timings = Timings()
    with timings.measure("L-Net, E-Net", 8):
        clock[0] += 2
    with timings.measure("none", 0):
        clock[0] += 1
    head, first, second = timings.table().splitlines()
    assert head.split() == ["stage", "seconds", "frames", "ms/frame"]
    assert first.split() == ["L-Net,", "E-Net", "2.00", "8", "250.0"]
    assert second.split() == ["none", "1.00", "0", "1000.0"]
    assert len(head) == len(first) == len(second)


def test_a_block_that_fails_is_not_counted() -> None:
    timings = Timings()
    with pytest.raises(ValueError, match="broken"), timings.measure("stage", 1):
        raise ValueError("broken")
    assert timings.rows() == []
    assert len(timings.table().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows hides it")
def test_peak_memory_is_that_of_this_process_and_not_of_the_one_that_began_it() -> None:
    """One hour's figure was the memory of the script that had made the hour's video."""
    held = np.ones(300 * 2**20, np.uint8)
    assert peak_memory_bytes() > held.nbytes
    code = "from retalking.timings import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 2**20 < int(done.stdout) < held.nbytes
