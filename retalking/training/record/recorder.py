"""The record of a run in its folder: log, metrics, curves, pictures, films, environment."""

from __future__ import annotations

import importlib
import json
import logging
import math
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

import torch
from torch import Tensor
from torchvision.utils import make_grid

from retalking.errors import RetalkingError
from retalking.files import replacing
from retalking.training.record.curves import Curves, open_curves
from retalking.training.record.films import Film, write_film
from retalking.training.settings import Logger

VERSIONED_PACKAGES = ("torch", "torchvision", "numpy", "pydantic", "safetensors", "cv2")


class Recorder:
    """Writes metrics, pictures and films into a run folder; ``open_recorder`` makes one."""

    def __init__(self, folder: Path, metrics: TextIO, curves: Sequence[Curves]) -> None:
        self._folder = folder
        self._metrics = metrics
        self._curves = curves

    def add_metrics(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl and a point to each curve ``split/name``."""
        line = json.dumps({"step": step, "split": split, **values})
        with explain_failed_write(self._folder):
            self._metrics.write(line + "\n")
            self._metrics.flush()
            for curves in self._curves:
                curves.add_numbers(
                    step, {f"{split}/{name}": value for name, value in values.items()}
                )

    def add_pictures(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Draw a grid of each entry.

        Args:
            step: number of updates done.
            pictures: ``[N, 3, H, W]``, or ``[N, T, 3, H, W]`` for one clip per row; in [0, 1].
        """
        for name, batch in pictures.items():
            is_video = batch.ndim == 5
            columns = batch.shape[1] if is_video else math.ceil(len(batch) ** 0.5)
            flat = batch.flatten(0, 1) if is_video else batch
            grid = make_grid(flat.detach().float().clamp(0, 1).cpu(), nrow=columns)
            with explain_failed_write(self._folder):
                for curves in self._curves:
                    curves.add_picture(step, name, grid)

    def add_films(self, step: int, films: Mapping[str, Film]) -> None:
        """Write each film to ``films/NAME-STEP.mp4``, and show it where that is possible."""
        for name, film in films.items():
            path = self._folder / "films" / f"{name}-{step:08d}.mp4"
            with explain_failed_write(self._folder):
                path.parent.mkdir(exist_ok=True)
                write_film(path, film)
                for curves in self._curves:
                    curves.add_film(step, name, path)


@contextmanager
def open_recorder(
    folder: Path,
    step: int,
    logger: Logger = "tensorboard",
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Recorder]:
    """Record into a folder, continuing after ``step``; what was recorded later is withdrawn.

    Args:
        folder: of the run.
        step: number of updates done.
        logger: who shows curves.
        settings: of the run, for a logger that shows them.

    Raises:
        ConfigError: the logger is not installed.
        RetalkingError: the folder cannot be written.
    """
    with explain_failed_write(folder):
        curves = open_curves(logger, folder, step, settings)
        _add_environment(folder / "environment.json", step)
        _withdraw_metrics(folder / "metrics.jsonl", step)
        log = logging.FileHandler(folder / "log.txt", encoding="utf-8")
        log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8")
    logging.getLogger().addHandler(log)
    try:
        yield Recorder(folder, metrics, curves)
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
        with explain_failed_write(folder):
            metrics.close()
            for each in curves:
                each.close()


def _add_environment(file: Path, step: int) -> None:
    try:
        starts = list(json.loads(file.read_bytes())) if file.exists() else []
    except (ValueError, TypeError):
        raise RetalkingError(f"{file}: damaged; delete it, nothing else depends on it") from None
    starts.append({"from_step": step, **describe_environment()})
    with replacing(file) as partial:
        partial.write_text(json.dumps(starts, indent=2) + "\n", encoding="utf-8")


def _withdraw_metrics(file: Path, step: int) -> None:
    text = file.read_bytes().decode("utf-8", "replace") if file.exists() else ""
    lines = text.splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    if kept != lines:
        with replacing(file) as partial:
            partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    """Return the step of a record; a line cut off by a kill counts as later than all."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def describe_environment() -> dict[str, Any]:
    """Return what one needs to know to repeat a run: versions, machine, commit, command."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    versions: dict[str, str | None] = {}
    for package in VERSIONED_PACKAGES:
        try:
            versions[package] = importlib.import_module(package).__version__
        except ImportError:
            versions[package] = None
    return {
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "commit": _find_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cuda": torch.version.cuda,
        "gpus": gpus,
        "packages": versions,
    }


def _find_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@contextmanager
def explain_failed_write(path: Path) -> Iterator[None]:
    """Turn a failed write in ``path`` (disk full, no permission) into one line."""
    try:
        yield
    except OSError as error:
        raise RetalkingError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}"
        ) from error
