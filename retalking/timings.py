"""How long each stage took, for the table at the end of a job."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PEAK_KB = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Timings:
    """Seconds and frames per stage, added up over a job.

    Attributes:
        peak_bytes: by stage, the most memory that the process had held when the stage last ended.
        core_s: by stage, seconds of a processor that the thread which measured took; unlike the
            time that passed, they depend little on what else the machine does. What it has other
            threads do is not among them.
    """

    def __init__(self) -> None:
        self.peak_bytes: dict[str, int] = {}
        self.core_s: defaultdict[str, float] = defaultdict(float)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._frames: defaultdict[str, int] = defaultdict(int)

    @contextmanager
    def measure(self, stage: str, num_frames: int) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        begin, begin_core = time.perf_counter(), time.thread_time()
        yield
        self._seconds[stage] += time.perf_counter() - begin
        self.core_s[stage] += time.thread_time() - begin_core
        self._frames[stage] += num_frames
        self.peak_bytes[stage] = peak_memory_bytes()

    def count(self, stage: str, num_frames: int) -> None:
        """Add frames to a stage whose number was not known when it began."""
        self._frames[stage] += num_frames

    def rows(self) -> list[tuple[str, float, int]]:
        """Return (stage, seconds, frames) in the order in which stages first ended."""
        return [(stage, seconds, self._frames[stage]) for stage, seconds in self._seconds.items()]

    def table(self) -> str:
        """Return the rows as text, with milliseconds per frame."""
        lines = [f"{'stage':24}{'seconds':>9}{'frames':>8}{'ms/frame':>10}"]
        for stage, seconds, frames in self.rows():
            per_frame = 1000 * seconds / max(frames, 1)
            lines.append(f"{stage:24}{seconds:9.2f}{frames:8d}{per_frame:10.1f}")
        return "\n".join(lines)


def peak_memory_bytes(pid: int | None = None) -> int:
    """Return the most memory that a process has held so far; 0 where that is hidden.

    Args:
        pid: of another process (Linux alone tells); ``None`` for this one.
    """
    if sys.platform == "linux":  # getrusage counts what the process held that began this one
        try:
            status = Path(f"/proc/{pid or 'self'}/status").read_text()
        except OSError:  # it has just ended
            return 0
        found = _PEAK_KB.search(status)
        return int(found[1]) * 1024 if found else 0
    if sys.platform == "win32" or pid is not None:
        return 0
    import resource  # noqa: PLC0415 - Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
