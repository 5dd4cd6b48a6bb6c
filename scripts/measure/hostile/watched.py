"""Running cases in processes that a watcher ends when they hang, crash or take all memory."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from retalking.timings import peak_memory_bytes

_POLL_S = 0.05
_WAITS = 30
"""How many times the limit a case may wait, for other programs too, without working itself."""
_START_S, _END_S = 300.0, 10.0

Prepare = Callable[[Path], Callable[[int], tuple[str, str]]]
"""From a folder of its own to what runs a case by number, and says its kind and its fault."""


@dataclass(frozen=True)
class Limits:
    """What one case may take; seconds are of work, so that a busy machine is no hang."""

    seconds: float = 20.0
    peak_bytes: int = 2 * 10**9


@dataclass(frozen=True)
class Outcome:
    """How a case went.

    Attributes:
        number: of the case.
        kind: of it; empty where its process ended before it could say.
        fault: what is wrong, or nothing.
        seconds: of work, of all threads.
        peak_bytes: the most memory that its process held meanwhile, libraries and networks too.
    """

    number: int
    kind: str
    fault: str
    seconds: float
    peak_bytes: int


class Watched:
    """A process that runs cases, and is begun anew whenever it had to be ended."""

    def __init__(self, prepare: Prepare, limits: Limits) -> None:
        """Remember what to run; ``prepare`` must be picklable."""
        self._prepare = prepare
        self._limits = limits
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> Watched:
        self._folder = tempfile.TemporaryDirectory(prefix="retalking-hostile-")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._connection.close()  # it ends by itself
            self._process.join(_END_S)
            self._end()
        self._folder.cleanup()

    def run(self, number: int) -> Outcome:
        """Run a case, within the limits."""
        if self._process is None:
            self._begin()
        assert self._process is not None
        pid = self._process.pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is counted anew
        begun, worked = time.monotonic(), _work_s(pid)
        self._connection.send(number)
        kind, fault, seconds, peak = "", "", 0.0, 0
        while True:
            answered = self._connection.poll(_POLL_S)
            waited = time.monotonic() - begun
            seconds = max(seconds, _work_s(pid) - worked, waited / _WAITS)
            peak = max(peak, peak_memory_bytes(pid))
            if answered:
                try:
                    kind, fault = self._connection.recv()
                except EOFError:
                    self._process.join()
                    fault = f"crash: exit code {self._process.exitcode}"
                    self._end()
                break
            if seconds > self._limits.seconds or peak > self._limits.peak_bytes:
                self._end()
                break
        if not fault and seconds > self._limits.seconds:
            fault = f"hang: more than {self._limits.seconds:g} s"
        if not fault and peak > self._limits.peak_bytes:
            fault = f"memory: {peak / 1e9:.2f} GB"
        return Outcome(number, kind, fault, seconds, peak)

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        self._process = context.Process(target=_serve, args=(self._prepare, folder, theirs))
        self._process.start()
        theirs.close()
        if not self._connection.poll(_START_S):
            self._end()
            raise RuntimeError("the process that runs the cases does not start")
        self._connection.recv()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None


def _serve(prepare: Prepare, folder: Path, connection: Connection) -> None:
    run = prepare(folder)
    connection.send("ready")
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        connection.send(run(number))


def _work_s(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
