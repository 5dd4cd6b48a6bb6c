"""Workers on this machine, each a process of its own; and what any crew of workers can do."""

from __future__ import annotations

import logging
import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NoReturn, Protocol

import torch

from retalking.batch.work import Outcome, Task, Worker, set_threads

_GRACE_S = 10.0


class Crew(Protocol):
    """Some workers, numbered from 0."""

    @property
    def size(self) -> int:
        """Number of workers."""

    def give(self, worker: int, task: Task) -> None:
        """Hand a task to a worker that has none."""

    def wait(self) -> tuple[int, Outcome | None]:
        """Wait until a worker has finished, and return it and the outcome.

        The outcome is ``None`` if the worker is lost; another has taken its number.
        """

    def close(self) -> None:
        """End the workers, and what they are doing."""


class LocalCrew:
    """Processes of this machine."""

    def __init__(self, size: int, threads: int | None = None, verbose: bool = False) -> None:
        """Start them.

        Args:
            size: how many.
            threads: of torch in each; as many as here if ``None``.
            verbose: whether they log what they do.
        """
        self._threads = threads or torch.get_num_threads()
        self._context = multiprocessing.get_context("spawn")  # CUDA and threads survive no fork
        self._verbose = verbose
        self._members = [self._start(size) for _ in range(size)]
        self._busy: set[int] = set()

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self._members)

    @property
    def process_ids(self) -> list[int]:
        """Processes by worker."""
        return [process.pid or 0 for process, _ in self._members]

    def give(self, worker: int, task: Task) -> None:
        """Hand a task to a worker that has none."""
        self._busy.add(worker)
        with suppress(OSError):  # lost; `wait` tells
            self._members[worker][1].send(task)

    def wait(self) -> tuple[int, Outcome | None]:
        """Wait until a worker has finished; see ``Crew``."""
        waiting = {self._members[worker][1]: worker for worker in self._busy}
        worker = waiting[wait(list(waiting))[0]]  # type: ignore[index]
        self._busy.remove(worker)
        process, pipe = self._members[worker]
        try:
            outcome: Outcome = pipe.recv()
            return worker, outcome
        except (EOFError, OSError):
            process.join()
            self._members[worker] = self._start(self.size)
            return worker, None

    def close(self) -> None:
        """End the workers; partial outputs go with them."""
        for worker, (process, pipe) in enumerate(self._members):
            pipe.close()
            if worker in self._busy:
                process.terminate()
            else:  # it holds nothing
                process.kill()
        for process, _ in self._members:
            process.join(_GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()

    def _start(self, size: int) -> tuple[SpawnProcess, Connection]:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(there, size, self._threads, self._verbose), daemon=True
        )
        process.start()
        there.close()  # so that the end of the process ends the pipe
        return process, here


def _serve(pipe: Connection, size: int, threads: int, verbose: bool) -> None:
    """Do what comes through the pipe until it ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent ends us
    signal.signal(signal.SIGTERM, _stop)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    set_threads(threads, size)
    worker = Worker()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.send(worker.do(pipe.recv()))


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
