"""Which worker does what next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from retalking.batch.crew import Crew
from retalking.batch.jobs import BatchJob
from retalking.batch.work import Outcome, Task, analysis_of

_MOST_LOSSES = 3
"""Workers that a task may take with it before it counts as failed."""


@dataclass
class _Shared:
    """A job that several workers make: parts that are not done, and what has come of the others."""

    task: Task
    open: int
    seconds: float
    fault: str = ""


@dataclass
class Schedule:
    """Tasks of a batch, on their way through a crew.

    Attributes:
        tell: told the number of each job that has ended, and its outcome.
    """

    tell: Callable[[int, Outcome], None]
    _ready: deque[Task] = field(default_factory=deque)
    _behind: dict[Hashable, list[Task]] = field(default_factory=dict)
    _shared: dict[int, _Shared] = field(default_factory=dict)
    _losses: dict[Hashable, int] = field(default_factory=dict)

    def add(self, jobs: Sequence[tuple[int, BatchJob]], part_s: float | None) -> None:
        """Plan jobs.

        Where several need the same first pass, one worker makes it before any of them begins.

        Args:
            jobs: with their numbers.
            part_s: length of the parts in which longer outputs are made.
        """
        groups: dict[Hashable, list[Task]] = {}
        for number, job in jobs:
            groups.setdefault(analysis_of(job), []).append(Task(number, job, part_s))
        for key, tasks in groups.items():
            if len(tasks) == 1:
                self._ready.append(tasks[0])
            else:
                self._behind[key] = tasks
                self._ready.append(Task(tasks[0].number, tasks[0].job, looks_only=True))

    def run(self, crew: Crew) -> None:
        """Keep the crew busy until everything has ended."""
        busy: dict[int, Task] = {}
        while self._ready or busy:
            for worker in range(crew.size):
                if self._ready and worker not in busy:
                    busy[worker] = self._ready.popleft()
                    crew.give(worker, busy[worker])
            worker, outcome = crew.wait()
            task = busy.pop(worker)
            self._lost(task) if outcome is None else self._ended(task, outcome)

    def _lost(self, task: Task) -> None:
        key = (task.number, task.looks_only, task.only)
        self._losses[key] = losses = self._losses.get(key, 0) + 1
        if losses < _MOST_LOSSES:
            self._ready.append(task)
            return
        fault = (
            f"{task.job.face}: {losses} workers were killed at this job; perhaps it needs more "
            "memory than there is, then use fewer workers or a smaller --chunk-size"
        )
        self._ended(task, Outcome(fault))

    def _ended(self, task: Task, outcome: Outcome) -> None:
        if task.looks_only:  # if it failed, each of the jobs says so itself
            self._ready.extend(self._behind.pop(analysis_of(task.job)))
        elif outcome.parts:
            whole = replace(task, part_s=None, parts=outcome.parts)
            self._shared[task.number] = _Shared(whole, len(outcome.parts), outcome.seconds)
            self._ready.extend(replace(whole, only=part) for part in outcome.parts)
        elif task.only is not None:
            self._part_ended(self._shared[task.number], outcome)
        else:
            shared = self._shared.get(task.number)
            earlier_s = shared.seconds if shared else 0.0
            self.tell(task.number, replace(outcome, seconds=earlier_s + outcome.seconds))

    def _part_ended(self, shared: _Shared, outcome: Outcome) -> None:
        shared.open -= 1
        shared.seconds += outcome.seconds
        shared.fault = shared.fault or outcome.fault
        if shared.open:
            return
        if shared.fault:
            self.tell(shared.task.number, Outcome(shared.fault, seconds=shared.seconds))
        else:
            self._ready.appendleft(shared.task)
