"""What has come of the jobs of a list, kept beside it from one run to the next."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from retalking.batch.jobs import BatchJob
from retalking.batch.work import Outcome
from retalking.errors import ConfigError, MediaError

State = Literal["done", "failed"]


@dataclass(frozen=True)
class Entry:
    """What has come of a job.

    Attributes:
        outfile: by which jobs are told apart.
        key: of ``BatchJob.key``.
        state: whether it is done.
        num_frames: of the output.
        seconds: that it took.
        fault: why it failed, in one line.
        verdict: of its report, in one line; empty without one.
    """

    outfile: str
    key: str
    state: State
    num_frames: int
    seconds: float
    fault: str
    verdict: str = ""


class BatchRecord:
    """A file of one line for each job that has ended; of several for one job the last counts."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            ConfigError: it is no record.
        """
        self._path = path
        self._entries: dict[str, Entry] = {}
        try:
            text = path.read_bytes() if path.exists() else b""
            self._end = text.rfind(b"\n") + 1  # behind it, a line whose writer was killed
            for line in text[: self._end].splitlines():
                entry = Entry(**json.loads(line))
                self._entries[entry.outfile] = entry
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}: not a record of a batch ({error}); delete it or name another by --record"
            ) from None

    def find(self, job: BatchJob) -> Entry | None:
        """Return what came of a job; ``None`` if it, its files or its result have changed since."""
        entry = self._entries.get(str(job.outfile))
        if entry is None or entry.key != job.key():
            return None
        results = [path for path in (job.outfile, job.report) if path is not None]
        return entry if entry.state == "failed" or all(map(Path.is_file, results)) else None

    def add(self, job: BatchJob, outcome: Outcome) -> Entry:
        """Write down what came of a job, at once.

        Raises:
            MediaError: the file cannot be written.
        """
        entry = Entry(
            str(job.outfile),
            job.key(),
            "failed" if outcome.fault else "done",
            outcome.num_frames,
            round(outcome.seconds, 3),
            outcome.fault,
            outcome.verdict,
        )
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        try:
            with self._path.open("r+b" if self._path.exists() else "xb") as file:
                file.truncate(self._end)
                file.seek(self._end)
                file.write(line)
        except OSError as error:
            raise MediaError(f"{self._path}: cannot be written: {error.strerror}") from None
        self._end += len(line)
        self._entries[entry.outfile] = entry
        return entry
