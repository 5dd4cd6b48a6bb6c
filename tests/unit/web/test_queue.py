"""Jobs one after the other: order, cancelling, faults, and a program that ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from retalking.errors import CancelledError, MediaError
from retalking.progress import Listener, Progress, Wish
from retalking.web.jobs import Job, JobOptions, JobStore
from retalking.web.queue import JobQueue

OPTIONS = JobOptions("lite", "neutral", "original", "normal")


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.01)


class Bench:
    """A queue whose work ends when it is told."""

    def __init__(self, folder: Path) -> None:
        media = folder / "x.mp4"
        media.write_bytes(b"x")
        self.store = JobStore(folder / "jobs")
        self.jobs = [self.store.create(media, media, OPTIONS) for _ in range(3)]
        self.done: list[str] = []
        self.go = threading.Event()
        self.fault: Exception | None = None
        self.queue = JobQueue(self.store, self.work)

    def work(self, job: Job, listener: Listener, cancel: Wish) -> str:
        listener(Progress("dubbing", 5, 10, 0.5, 3.0))
        while not self.go.wait(0.01):
            if cancel():
                raise CancelledError("cancelled")
        if self.fault is not None:
            raise self.fault
        self.done.append(job.id)
        return "review: nothing stands out"

    def state(self, number: int) -> str:
        return self.queue.look(self.jobs[number].id).job.state


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_jobs_are_done_in_their_order_and_tell_where_they_stand(bench: Bench) -> None:
    bench.queue.start()
    wait(lambda: bench.state(0) == "running")
    ids = [job.id for job in bench.jobs]
    wait(lambda: bench.queue.look(ids[0]).progress is not None)
    assert [bench.queue.look(job_id).place for job_id in ids] == [0, 1, 2]
    bench.go.set()
    wait(lambda: bench.state(2) == "done")
    bench.queue.stop()
    assert bench.done == ids
    assert bench.store.load(ids[0]).message == "review: nothing stands out"


def test_a_running_and_a_waiting_job_can_be_cancelled(bench: Bench) -> None:
    bench.queue.start()
    wait(lambda: bench.state(0) == "running")
    bench.queue.cancel(bench.jobs[1].id)
    assert bench.state(1) == "cancelled"
    bench.queue.cancel(bench.jobs[0].id)
    wait(lambda: bench.state(0) == "cancelled")
    bench.go.set()
    wait(lambda: bench.state(2) == "done")
    bench.queue.stop()
    assert bench.done == [bench.jobs[2].id]


def test_a_fault_names_the_file_without_its_folder(bench: Bench) -> None:
    job = bench.jobs[0]
    bench.fault = MediaError(f"{bench.store.folder / job.id / 'face.mp4'}: no face found")
    bench.go.set()
    bench.queue.start()
    wait(lambda: bench.state(0) == "failed")
    bench.queue.stop()
    assert bench.store.load(job.id).message == "face.mp4: no face found"


@pytest.mark.parametrize("fault", [MediaError("no face found"), ZeroDivisionError("a bug")])
def test_a_fault_ends_one_job_only(bench: Bench, fault: Exception) -> None:
    bench.fault = fault
    bench.go.set()
    bench.queue.start()
    wait(lambda: bench.state(0) == "failed")
    bench.fault = None
    wait(lambda: bench.state(2) in ("done", "failed"))
    bench.queue.stop()
    assert str(fault) in bench.store.load(bench.jobs[0].id).message


def test_the_next_program_goes_on_with_what_ran_and_waited(bench: Bench) -> None:
    bench.queue.start()
    wait(lambda: bench.state(0) == "running")
    bench.queue.stop()
    assert bench.store.load(bench.jobs[0].id).state == "waiting"
    again = JobQueue(bench.store, bench.work)
    assert again.num_waiting == 3
    bench.go.set()
    again.start()
    wait(lambda: again.look(bench.jobs[2].id).job.state == "done")
    again.stop()
    assert bench.done == [job.id for job in bench.jobs]
