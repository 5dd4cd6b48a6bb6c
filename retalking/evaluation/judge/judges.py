"""What judges in another environment see in videos: lip shapes and points over time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from retalking.errors import ConfigError, RetalkingError
from retalking.files import sha256_of
from retalking.locations import REPOSITORY
from retalking.types import BoolArray, Float64Array, FloatArray

JudgeName = Literal["mediapipe", "dlib"]
TASK_FILE = "face_landmarker.task"
JUDGE_PYTHON = REPOSITORY / ".venv-judge" / "bin" / "python"
_PROGRAM = REPOSITORY / "scripts" / "judge" / "watch.py"


@dataclass(frozen=True)
class Sight:
    """What a judge sees in a video.

    Attributes:
        time_s: float64 ``[F]``, when frames are shown.
        shapes: float64 ``[F]`` by name, NaN without a face. ``opening`` and ``width`` of the lips
            in heights of the face (MediaPipe) or distances of the eyes (dlib); blendshapes in 0..1.
        points: float32 ``[F, P, 2]`` in pixels, NaN without a face.
    """

    time_s: Float64Array
    shapes: Mapping[str, Float64Array]
    points: FloatArray

    @classmethod
    def load(cls, path: Path) -> Sight:
        """Read what ``scripts/judge/watch.py`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            shapes = dict(zip(file["names"].tolist(), file["shapes"].T, strict=True))
            return cls(file["time_s"], shapes, file["points"])

    @property
    def found(self) -> BoolArray:
        """Where there is a face: bool ``[F]``."""
        return np.asarray(np.isfinite(self.points).all(axis=(1, 2)), np.bool_)

    def at(self, time_s: Float64Array) -> Sight:
        """Take the frames nearest to some moments."""
        middles = (self.time_s[1:] + self.time_s[:-1]) / 2
        rows = np.searchsorted(middles, time_s)
        return self.rows(rows, time_s)

    def rows(self, rows: np.ndarray, time_s: Float64Array | None = None) -> Sight:
        """Take frames by index or mask."""
        shapes = {name: values[rows] for name, values in self.shapes.items()}
        return Sight(self.time_s[rows] if time_s is None else time_s, shapes, self.points[rows])


class Judges:
    """Asks the judges, and keeps what they saw by the content of the video."""

    def __init__(self, python: Path, models: Path, folder: Path) -> None:
        """Keep sights in a folder, which is made.

        Args:
            python: of the judges' environment.
            models: folder with MediaPipe's task file.
            folder: of the sights.

        Raises:
            ConfigError: the environment or the task file is missing.
        """
        if not python.is_file():
            raise ConfigError(
                f"{python}: no such environment; make it with: bash scripts/judge/setup.sh"
            )
        self._task = models / TASK_FILE
        if not self._task.is_file():
            raise ConfigError(f"--judge-models {models}: no {TASK_FILE} in it")
        self._python, self._folder = python, folder
        program = hashlib.sha256(_PROGRAM.read_bytes() + self._task.read_bytes())
        self._stamp = program.hexdigest()[:8]
        folder.mkdir(parents=True, exist_ok=True)

    def watch(self, judge: JudgeName, videos: Sequence[Path], seconds: float) -> None:
        """Let a judge look at the beginnings of the videos that it has not seen yet.

        Raises:
            RetalkingError: it fails.
        """
        new = {self._path(judge, video, seconds): video for video in videos}
        jobs = [
            {"video": str(video.absolute()), "out": str(out.absolute()), "seconds": seconds}
            for out, video in new.items()
            if not out.is_file()
        ]
        if not jobs:
            return
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(jobs, file)
            file.flush()
            command = [self._python, _PROGRAM, judge, file.name, "--task", self._task]
            done = subprocess.run(
                [str(part) for part in command], capture_output=True, text=True, check=False
            )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise RetalkingError(f"judge {judge}: failed with {done.returncode}: {reason}")

    def recall(self, judge: JudgeName, video: Path, seconds: float) -> Sight:
        """Return what a judge saw in a video."""
        return Sight.load(self._path(judge, video, seconds))

    def _path(self, judge: JudgeName, video: Path, seconds: float) -> Path:
        name = f"{sha256_of(video)[:16]}-{judge}-{self._stamp}-{seconds:g}s.npz"
        return self._folder / name
