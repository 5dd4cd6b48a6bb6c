"""Whole jobs of the released VideoReTalking and of this repository, by turns."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from retalking.errors import ConfigError
from retalking.locations import REPOSITORY
from retalking.media.video import VideoReader
from scripts.measure.side_by_side import Row, core_seconds_of_children


def compare_with_upstream(
    folder: Path, python: Path, face: Path, audio: Path, options: Sequence[str], rounds: int
) -> list[Row]:
    """Dub by turns with upstream's inference.py and with ours.

    Both are programs of their own, from their start to the file they wrote. Upstream keeps what it
    found under the name of the video; here the name is another each time, so that nothing is left
    out.

    Args:
        folder: checkout of https://github.com/OpenTalker/video-retalking with its weights.
        python: the interpreter of its environment.
        face: the video.
        audio: the speech.
        options: further flags of our inference.py.
        rounds: repetitions, of which the medians count.

    Returns:
        A row for each of the two: frames written, seconds, milliseconds per frame, those of a core,
        and how many times as fast as upstream.

    Raises:
        ConfigError: the folder is no such checkout, or a job failed.
    """
    if not (folder / "inference.py").is_file():
        raise ConfigError(f"--against-upstream: {folder}: no checkout with inference.py")
    programs = {
        "upstream": (folder, [str(python.absolute()), "inference.py"]),
        "here": (Path(), [sys.executable, str(REPOSITORY / "inference.py"), *options]),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    frames: dict[str, int] = {}
    for number in range(rounds):
        for name, (start_in, command) in programs.items():
            with tempfile.TemporaryDirectory() as temporary:
                clip = Path(temporary) / f"clip{os.getpid()}x{number}{face.suffix}"
                shutil.copyfile(face, clip)
                result = Path(temporary) / "result.mp4"
                inputs = ["--face", str(clip), "--audio", str(audio.resolve())]
                kept = ["--tmp-dir", temporary] if name == "here" else []
                job = [*command, *inputs, "--outfile", str(result), *kept]
                spent[name].append(_run(name, job, start_in))
                frames[name] = _count_frames(result)
    rows: list[Row] = []
    per_frame: dict[str, float] = {}
    for name, figures in spent.items():
        seconds, core_s = (statistics.median(values) for values in zip(*figures, strict=True))
        per_frame[name] = seconds / frames[name]
        rows.append(
            {
                "program": name,
                "frames": frames[name],
                "s": round(seconds, 2),
                "ms per frame": round(1000 * per_frame[name], 1),
                "core ms per frame": round(1000 * core_s / frames[name], 1),
                "speed": round(per_frame["upstream"] / per_frame[name], 2),
            }
        )
    return rows


def _run(name: str, command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds that passed, and those of a core."""
    environment = dict(os.environ)
    if name == "upstream":
        environment.pop("PYTHONPATH", None)  # its packages have the names of ours
    begin, begin_core = time.perf_counter(), core_seconds_of_children()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise ConfigError(f"{name}: the job ended with code {done.returncode}, see above")
    return time.perf_counter() - begin, core_seconds_of_children() - begin_core


def _count_frames(path: Path) -> int:
    with VideoReader(path) as reader:
        return sum(len(chunk) for chunk in reader.read_chunks(16))
