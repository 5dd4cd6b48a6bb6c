"""Workers on a Ray cluster: processes of any machine that sees the same files."""

from __future__ import annotations

import os
from typing import Any

import torch

from retalking.batch.cluster import connect
from retalking.batch.work import Outcome, Task, Worker, set_threads


class RayCrew:
    """Actors of a cluster, or of one that is started here for as long as the crew lasts."""

    def __init__(
        self,
        size: int,
        address: str | None = None,
        gpus_per_worker: float = 0.0,
        threads: int | None = None,
    ) -> None:
        """Connect, and ask for workers; they begin as soon as the cluster has room.

        Args:
            size: number of workers.
            address: of a cluster, ``auto`` for the one that runs on this machine; ``None`` starts
                one here.
            gpus_per_worker: share of a GPU that each takes.
            threads: of torch in each; as many as here if ``None``. (Ray itself would set one.)

        Raises:
            ConfigError: Ray is not installed, or there is no cluster at the address.
        """
        ray = self._ray = connect(size, address)
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus_per_worker, max_restarts=0)(_RayWorker)
        self._threads = threads or torch.get_num_threads()
        self._members = [self._start(size) for _ in range(size)]
        self._running: dict[Any, int] = {}

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self._members)

    def process_id(self, worker: int) -> int:
        """Process of a worker, on its machine."""
        number: int = self._ray.get(self._members[worker].process_id.remote())
        return number

    def give(self, worker: int, task: Task) -> None:
        """Hand a task to a worker that has none."""
        self._running[self._members[worker].do.remote(task)] = worker

    def wait(self) -> tuple[int, Outcome | None]:
        """Wait until a worker has finished; see ``Crew``."""
        (done,), _ = self._ray.wait(list(self._running), num_returns=1)
        worker = self._running.pop(done)
        try:
            outcome: Outcome = self._ray.get(done)
            return worker, outcome
        except self._ray.exceptions.RayActorError:
            self._members[worker] = self._start(self.size)
            return worker, None

    def _start(self, size: int) -> Any:
        return self._actor.remote(size, self._threads)

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        for member in self._members:
            self._ray.kill(member)
        self._ray.shutdown()


class _RayWorker:
    """A ``Worker`` that can be called from elsewhere."""

    def __init__(self, num_workers: int, threads: int) -> None:
        set_threads(threads, num_workers)
        self._worker = Worker()

    def do(self, task: Task) -> Outcome:
        """Do a task."""
        return self._worker.do(task)

    def process_id(self) -> int:
        """Number of this process."""
        return os.getpid()
