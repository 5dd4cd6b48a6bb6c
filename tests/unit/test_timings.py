"""Seconds and frames per stage."""

from __future__ import annotations

import time

import pytest

from retalking.timings import Timings


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
