"""Which task goes to a worker when, with workers that only say what they were asked."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from retalking.batch.jobs import BatchJob
from retalking.batch.schedule import Schedule
from retalking.batch.work import Outcome, Task
from retalking.inference.profiles import load_profile

CONFIG = load_profile("lite", {})


def job(face: str, outfile: str, **options: object) -> BatchJob:
    config = load_profile("lite", options) if options else CONFIG
    return BatchJob(Path(face), Path("a.wav"), Path(outfile), config)


class Told:
    """A crew that answers in the order of asking, as it was told to."""

    def __init__(self, size: int, answers: dict[str, list[Outcome | None]] | None = None) -> None:
        self.size = size
        self.asked: list[Task] = []
        self.most = 0
        self._answers = answers or {}
        self._busy: deque[tuple[int, Task]] = deque()

    def give(self, worker: int, task: Task) -> None:
        assert worker not in dict(self._busy)
        self.asked.append(task)
        self._busy.append((worker, task))
        self.most = max(self.most, len(self._busy))

    def wait(self) -> tuple[int, Outcome | None]:
        worker, task = self._busy.popleft()
        answers = self._answers.get(str(task.job.outfile))
        return worker, answers.pop(0) if answers else Outcome(num_frames=1, seconds=1.0)

    def close(self) -> None:
        pass


def run(jobs: list[BatchJob], crew: Told, part_s: float | None = None) -> dict[int, Outcome]:
    told: dict[int, Outcome] = {}
    schedule = Schedule(lambda number, outcome: told.update({number: outcome}))
    schedule.add(list(enumerate(jobs)), part_s)
    schedule.run(crew)
    return told


def test_a_video_of_several_jobs_is_looked_at_before_them() -> None:
    jobs = [job("a.mp4", "1"), job("a.mp4", "2"), job("b.mp4", "3"), job("a.mp4", "4", crf=3)]
    crew = Told(2)
    assert set(run(jobs, crew)) == {0, 1, 2, 3}
    assert [(str(t.job.face), t.looks_only) for t in crew.asked][:2] == [
        ("a.mp4", True),
        ("b.mp4", False),
    ]
    assert sum(t.looks_only for t in crew.asked) == 1  # how it is compressed is no matter
    assert crew.most == 2

    other = Told(2)
    run([job("a.mp4", "1"), job("a.mp4", "2", face_index=1)], other)
    assert not any(t.looks_only for t in other.asked)


def test_a_lost_worker_loses_no_job_unless_it_is_lost_again_and_again() -> None:
    crew = Told(2, {"1": [None, None], "2": [None, None, None]})
    told = run([job("a.mp4", "1"), job("b.mp4", "2"), job("c.mp4", "3")], crew)
    assert told[0].fault == told[2].fault == ""
    assert "3 workers were killed" in told[1].fault


def test_a_long_job_is_shared_out_and_put_together() -> None:
    parts = ((0, 40), (40, 90), (90, 120))
    crew = Told(3, {"1": [Outcome(parts=parts, seconds=5.0)]})
    told = run([job("a.mp4", "1")], crew, part_s=60.0)
    assert [task.only for task in crew.asked] == [None, *parts, None]
    assert all(task.parts == parts for task in crew.asked[1:])
    assert crew.most == 3
    assert told[0].seconds == 5.0 + 3.0 + 1.0

    crew = Told(2, {"1": [Outcome(parts=parts), Outcome("no room"), Outcome(), None, Outcome()]})
    told = run([job("a.mp4", "1")], crew, part_s=60.0)
    assert told[0].fault == "no room"
    assert len(crew.asked) == 5  # the lost part once more, and nothing is put together
