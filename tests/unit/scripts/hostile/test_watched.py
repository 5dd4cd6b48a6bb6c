"""A process that hangs, crashes or takes all memory is ended, and the next case runs."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.measure.hostile.watched import Limits, Watched

PEAK_BYTES = 400 * 10**6


def misbehave(number: int) -> tuple[str, str]:
    if number == 1:
        while True:
            pass
    if number == 2:
        time.sleep(60)
    if number == 3:
        ctypes.string_at(0)
    if number == 4:
        os._exit(3)
    if number == 5:
        held = bytearray(os.urandom(1) * 600 * 10**6)
        time.sleep(5)
        return "large", str(len(held))
    return "well", "wrong" if number == 6 else ""


def prepare(folder: Path) -> Callable[[int], tuple[str, str]]:
    assert folder.is_dir()
    return misbehave


@pytest.mark.parametrize("number", [1, 2])
def test_what_hangs_is_ended_and_the_next_case_runs(impatient: Watched, number: int) -> None:
    assert_fault_and_go_on(impatient, number, "hang: more than 1 s")


@pytest.mark.parametrize(
    ("number", "fault"),
    [(3, "crash: exit code -11"), (4, "crash: exit code 3"), (5, "memory: 0."), (6, "wrong")],
)
def test_what_goes_wrong_is_a_fault_and_the_next_case_runs(
    patient: Watched, number: int, fault: str
) -> None:
    assert_fault_and_go_on(patient, number, fault)


def assert_fault_and_go_on(watched: Watched, number: int, fault: str) -> None:
    outcome = watched.run(number)
    assert outcome.number == number
    assert outcome.fault.startswith(fault)
    after = watched.run(7)
    assert (after.kind, after.fault) == ("well", "")
    assert 10**6 < after.peak_bytes < PEAK_BYTES


@pytest.fixture(scope="module")
def impatient() -> Iterator[Watched]:
    with Watched(prepare, Limits(seconds=1, peak_bytes=PEAK_BYTES)) as watched:
        yield watched


@pytest.fixture(scope="module")
def patient() -> Iterator[Watched]:
    """Waits for longer than a busy machine takes to fill the memory."""
    with Watched(prepare, Limits(seconds=60, peak_bytes=PEAK_BYTES)) as watched:
        yield watched
