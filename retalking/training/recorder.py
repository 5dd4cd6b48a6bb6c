"""What a run leaves behind besides checkpoints: log, metrics, curves, pictures, environment."""

from __future__ import annotations

import importlib
import io
import json
import logging
import math
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.nn.functional as F
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from retalking.errors import RetalkingError
from retalking.files import replacing
from retalking.media.images import to_uint8
from retalking.types import UInt8Array

VERSIONED_PACKAGES = ("torch", "torchvision", "numpy", "pydantic", "safetensors", "cv2")
FILM_FRAMES, FILM_HEIGHT_PX = 50, 160
"""What is shown of a video at most: two seconds."""


class Recorder:
    """Writes metrics and pictures into a run folder; ``open_recorder`` makes one."""

    def __init__(self, folder: Path, metrics: TextIO, writer: SummaryWriter) -> None:
        self._folder = folder
        self._metrics = metrics
        self._writer = writer

    def add_metrics(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl and a point to each curve ``split/name``."""
        line = json.dumps({"step": step, "split": split, **values})
        with explain_failed_write(self._folder):
            self._metrics.write(line + "\n")
            self._metrics.flush()
            for name, value in values.items():
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def add_pictures(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Draw a grid of each entry.

        Args:
            step: number of updates done.
            pictures: ``[N, 3, H, W]``, or ``[N, T, 3, H, W]`` for one clip per row; in [0, 1].
        """
        with explain_failed_write(self._folder):
            for name, batch in pictures.items():
                is_video = batch.ndim == 5
                columns = batch.shape[1] if is_video else math.ceil(len(batch) ** 0.5)
                flat = batch.flatten(0, 1) if is_video else batch
                grid = make_grid(flat.detach().float().clamp(0, 1).cpu(), nrow=columns)
                self._writer.add_image(name, grid, step)
            self._writer.flush()

    def add_videos(self, step: int, videos: Mapping[str, Tensor]) -> None:
        """Show animations where TensorBoard shows pictures.

        ``SummaryWriter.add_video`` writes the same, but needs the package moviepy.

        Args:
            step: number of updates done.
            videos: ``[T, 3, H, W]`` in [0, 1], at 25 frames per second. Later frames than
                ``FILM_FRAMES`` are left out and higher ones than ``FILM_HEIGHT_PX`` reduced, since
                every validation adds a GIF of a megabyte or three to the events file.
        """
        with explain_failed_write(self._folder):
            for name, frames in videos.items():
                rgb = to_uint8(_reduce(frames))
                image = Summary.Image(
                    height=rgb.shape[1],
                    width=rgb.shape[2],
                    colorspace=3,
                    encoded_image_string=encode_gif(rgb),
                )
                summary = Summary(value=[Summary.Value(tag=name, image=image)])
                self._writer._get_file_writer().add_summary(summary, step)
            self._writer.flush()


def _reduce(frames: Tensor) -> Tensor:
    frames = frames[:FILM_FRAMES].detach().float()
    factor = FILM_HEIGHT_PX / frames.shape[2]
    return F.interpolate(frames, scale_factor=factor, mode="area") if factor < 1 else frames


def encode_gif(rgb: UInt8Array) -> bytes:
    """Encode frames ``[T, H, W, 3]`` as a GIF that repeats, at 25 frames per second."""
    first, *others = (Image.fromarray(frame) for frame in rgb)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=40, loop=0)
    return file.getvalue()


@contextmanager
def open_recorder(folder: Path, step: int) -> Iterator[Recorder]:
    """Record into a folder, continuing after ``step``; what was recorded later is withdrawn.

    Raises:
        RetalkingError: the folder cannot be written.
    """
    with explain_failed_write(folder):
        _add_environment(folder / "environment.json", step)
        _withdraw_metrics(folder / "metrics.jsonl", step)
        log = logging.FileHandler(folder / "log.txt", encoding="utf-8")
        log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
    logging.getLogger().addHandler(log)
    try:
        yield Recorder(folder, metrics, writer)
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
        with explain_failed_write(folder):
            metrics.close()
            writer.close()


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
