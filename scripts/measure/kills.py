"""Kill dubbing jobs at random moments, and see that the same command ends as if nothing had been.

    python scripts/measure/kills.py
    python scripts/measure/kills.py --kills 4 --frames 24

Every job is a process of its own (inference.py, profile lite), killed once by SIGTERM or SIGKILL
and then run again. Its decoded frames must equal those of an undisturbed job, and nothing may be
left over. The exit code is 1 if that is not so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from retalking.script import run_entry_point

from retalking.arrays.sealed import SUFFIX
from retalking.cache_folder import JOBS
from retalking.errors import RetalkingError
from retalking.exit_code import EXIT_INTERRUPTED, report_mistakes
from retalking.locations import REPOSITORY
from retalking.media.output.encoding import EncoderOptions
from retalking.media.video import VideoReader
from scripts.measure.hostile.seeds import SAMPLE, sample_frames, write_clip

_CHUNK_SIZE = 2
_EARLY = 0.2
"""Share of the jobs that are killed before they have finished a chunk."""
_POLL_S = 0.005
_CHUNK_S = 0.15
"""About what a chunk takes."""


@dataclass(frozen=True)
class Kill:
    """What became of a job that was killed.

    Attributes:
        signal_name: SIGTERM or SIGKILL.
        after_s: when, since its start.
        exit_code: of the killed process; negative for a signal.
        kept_chunks: finished chunks that the second run found.
        fault: what is wrong afterwards, or nothing.
    """

    signal_name: str
    after_s: float
    exit_code: int
    kept_chunks: int
    fault: str


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Kill jobs, print a table and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=60, help="of the video (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    faults = 0
    print("| signal | after (s) | exit code | chunks kept | fault |\n|---|---:|---:|---:|---|")
    for kill in kill_jobs(options.kills, options.frames, options.seed):
        faults += bool(kill.fault)
        row = (kill.signal_name, f"{kill.after_s:.1f}", kill.exit_code, kill.kept_chunks)
        print("| " + " | ".join(map(str, (*row, kill.fault or "none"))) + " |", flush=True)
    print(f"{options.kills} kills: {faults} faults")
    return int(faults > 0)


def kill_jobs(num_kills: int, num_frames: int, seed: int) -> Iterator[Kill]:
    """Run an undisturbed job, then kill others at random moments; half of them by SIGKILL.

    Raises:
        RetalkingError: the undisturbed job fails.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="retalking-kills-") as name:
        folder = Path(name)
        write_clip(folder / "talk.mp4", sample_frames(num_frames, 224), EncoderOptions())
        begun = time.monotonic()
        code = _Job.start(folder).wait()
        seconds, num_chunks = time.monotonic() - begun, -(-num_frames // _CHUNK_SIZE)
        if code:
            raise RetalkingError(f"the undisturbed job ended with code {code}")
        expected = hash_frames(_Job(folder).outfile)
        for number in range(num_kills):
            early = chance.random() < _EARLY
            moment = Moment(
                0 if early else chance.randint(1, num_chunks),
                chance.uniform(0, seconds if early else _CHUNK_S),
            )
            yield kill_job(folder, (signal.SIGTERM, signal.SIGKILL)[number % 2], moment, expected)


@dataclass(frozen=True)
class Moment:
    """When a job is killed: chance that does not depend on how busy the machine is.

    Attributes:
        chunks: how many are finished by then.
        more_s: seconds after that.
    """

    chunks: int
    more_s: float


@dataclass(frozen=True)
class _Job:
    """One command, and the folders that it writes to."""

    folder: Path

    @property
    def outfile(self) -> Path:
        return self.folder / "out" / "out.mkv"

    def count_kept(self) -> int:
        """How many finished chunks are kept of it."""
        return len(list((self.folder / "cache" / JOBS).glob(f"*/[0-9]*{SUFFIX}")))

    @classmethod
    def start(cls, folder: Path) -> subprocess.Popen[bytes]:
        """Start the job anew, with nothing from before."""
        for name in ("out", "cache", "tmp"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
        return cls(folder).go_on()

    def go_on(self) -> subprocess.Popen[bytes]:
        """Start the job with what is there."""
        command = [sys.executable, str(REPOSITORY / "inference.py"), "--profile", "lite"]
        command += ["--face", str(self.folder / "talk.mp4"), "--audio", str(SAMPLE / "speech.wav")]
        command += ["--outfile", str(self.outfile), "--codec", "ffv1", "--length-policy", "video"]
        command += ["--tmp-dir", str(self.folder / "cache"), "--chunk-size", str(_CHUNK_SIZE)]
        environment = {**os.environ, "TMPDIR": str(self.folder / "tmp")}
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=quiet, stderr=quiet
        )


def kill_job(folder: Path, number: signal.Signals, moment: Moment, expected: str) -> Kill:
    """Kill a job, run it again and compare.

    Args:
        folder: with the clip ``talk.mp4``.
        number: the signal.
        moment: when.
        expected: ``hash_frames`` of the undisturbed job.
    """
    begun, process = time.monotonic(), _Job.start(folder)
    while process.poll() is None and _Job(folder).count_kept() < moment.chunks:
        time.sleep(_POLL_S)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment.more_s)
    after_s = time.monotonic() - begun
    process.send_signal(number)  # nothing happens if it has ended
    code = process.wait()
    fault = ""
    if number is signal.SIGTERM and code not in (0, EXIT_INTERRUPTED, -signal.SIGTERM):
        fault = f"exit code {code}"
    elif code == EXIT_INTERRUPTED and (left := list_left_over(folder)):
        fault = f"left over by SIGTERM: {left}"
    kept = _Job(folder).count_kept()
    again = _Job(folder).go_on().wait()
    if again:
        fault = f"the second run ended with code {again}"
    elif hash_frames(_Job(folder).outfile) != expected:
        fault = "other frames"
    elif left := list_left_over(folder, finished=True):
        fault = f"left over: {left}"
    return Kill(number.name, after_s, code, kept, fault)


def list_left_over(folder: Path, finished: bool = False) -> list[str]:
    """List the files that are neither the result nor work that is kept on purpose.

    Args:
        folder: of the job.
        finished: frames are kept for no one then.
    """
    left = [path for name in ("out", "cache", "tmp") for path in (folder / name).rglob("*")]
    return sorted(
        str(path.relative_to(folder))
        for path in left
        if path.is_file()
        and path != folder / "out" / "out.mkv"
        and (
            path.name.startswith(".")
            or path.suffix != SUFFIX
            or (finished and JOBS in path.relative_to(folder).parts)
        )
    )


def hash_frames(path: Path) -> str:
    """Return a hash of all decoded frames and their times."""
    digest = hashlib.sha256()
    with VideoReader(path) as reader:
        for chunk in reader.read_chunks(16):
            digest.update(chunk.pts.tobytes() + chunk.rgb.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    run_entry_point(main)
