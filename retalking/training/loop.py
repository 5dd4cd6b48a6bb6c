"""The training loop that the four trainers share. It knows no network, loss or optimiser.

A trainer builds its networks and hands over closures: ``step`` for one update, ``open_data`` for
the batches from a given step on, ``validate`` and ``save_weights``. Everything here is a function
of the number of updates done: the random state is set anew from (seed, rank, step) before each
update and the data is addressed by step, so that a run that was killed and continued ends in the
same bits as one that ran through.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from retalking.config import Schema
from retalking.errors import ConfigError, RetalkingError
from retalking.training.batches import Batch, to_device
from retalking.training.distributed import Ranks
from retalking.training.interrupts import heed_signals
from retalking.training.optimization import ComputeSettings
from retalking.training.progress import Clock, Progress
from retalking.training.recorder import open_recorder
from retalking.training.run_dir import RunDir, open_run_dir
from retalking.training.state import Stateful, load_state, save_state

logger = logging.getLogger(__name__)

MAY_DIFFER = frozenset(
    {"loop.num_steps", "loop.num_workers", "loop.log_every", "loop.save_every", "loop.keep_last"}
)
"""Settings that may change when a run is continued, since no update depends on them."""


class LoopSettings(Schema):
    """Length, cadence and data order of a run; cadences count updates."""

    seed: int = Field(ge=0)
    num_steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    """Samples per update over all ranks and micro-batches."""
    num_workers: int = Field(ge=0)
    """Loader processes per rank; 0 loads in the training process."""
    log_every: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    save_every: int = Field(ge=1)
    keep_last: int = Field(ge=1)
    """Checkpoints kept besides the best weights."""
    best_metric: str
    """Name of the validation metric that chooses the best weights."""
    best_is: Literal["lowest", "highest"]


class TrainingConfig(Schema):
    """Base of the four trainers' configurations."""

    loop: LoopSettings
    compute: ComputeSettings


@dataclass(frozen=True)
class Job:
    """Where a training runs.

    Attributes:
        run_dir: its folder, on a disk that all ranks see; the same folder continues the run.
        ranks: the processes that train together.
    """

    run_dir: Path
    ranks: Ranks = field(default_factory=Ranks)


class Validation(NamedTuple):
    """What a validation found on this rank's clips.

    Attributes:
        metrics: averaged over the ranks by the loop.
        pictures: ``[N, 3, H, W]``, or ``[N, T, 3, H, W]`` for one clip per row, in [0, 1], by name;
            those of rank 0 are shown.
        videos: ``[T, 3, H, W]`` in [0, 1] at 25 frames per second, by name; likewise.
    """

    metrics: dict[str, float]
    pictures: dict[str, Tensor]
    videos: Mapping[str, Tensor] = MappingProxyType({})


def run(
    config: TrainingConfig,
    job: Job,
    *,
    state: Mapping[str, Stateful],
    step: Callable[[Batch, int], Mapping[str, Tensor]],
    open_data: Callable[[int], Generator[Batch, None, None]],
    validate: Callable[[], Validation],
    save_weights: Callable[[Path], None],
    observe: Callable[[Mapping[str, float]], None] | None = None,
) -> int:
    """Train, or continue, until ``config.loop.num_steps`` updates are done or a signal stops it.

    Args:
        config: all settings of the run; kept in the folder and compared on resume.
        job: folder and ranks.
        state: everything that an update changes, by name, already on its device.
        step: makes the update with the given index from a batch on ``job.ranks.device`` and
            returns scalar metrics, under the same names every time.
        open_data: returns the endless batches of this rank from the given step on.
        validate: judges the current weights; it may use random numbers freely.
        save_weights: writes what inference loads to the given path, complete or not at all, as
            ``models.weights.save`` does; called on rank 0.
        observe: is told the metrics of every regular validation, on every rank, for schedules that
            depend on them; not those of the extra one at the end, since the run may be extended.

    Returns:
        The number of updates done so far; fewer than ``num_steps`` after SIGINT or SIGTERM.

    Raises:
        ConfigError: the folder belongs to another configuration, or a setting does not fit.
        RetalkingError: a metric is not finite (nothing is saved then), or a file cannot be written.
        WeightsError: the checkpoint to continue from is damaged.
    """
    loop, ranks = config.loop, job.ranks
    changes: list[str] = []
    if ranks.is_main:
        changes = open_run_dir(job.run_dir, config, MAY_DIFFER)
    ranks.barrier()
    folder = RunDir(job.run_dir)
    progress = Progress(loop.num_steps)
    everything = {**state, "progress": progress}
    _restore(folder, everything, progress, ranks)

    recording = open_recorder(folder.path, progress.step) if ranks.is_main else nullcontext()
    batches = open_data(progress.step)
    with recording as recorder, heed_signals() as signals, closing(batches):
        for change in changes:
            logger.info("setting changed: %s", change)
        if progress.step:
            logger.info("%s  continuing", progress)
        clock = Clock()
        stopping = False
        while progress.step < loop.num_steps and not stopping:
            batch = to_device(clock.next_of(batches), ranks.device)
            seed_everything(loop.seed, ranks.rank, progress.step)
            metrics = step(batch, progress.step)
            means, stopping = _average(metrics, bool(signals), ranks)
            _check_finite(means, batch, progress.step)
            progress.step += 1
            progress.means.add(means)

            finished = progress.step == loop.num_steps
            if finished or progress.step % loop.log_every == 0:
                means, speed = progress.means.take(), clock.take()
                if recorder:
                    recorder.add_metrics(progress.step, "train", means)
                    recorder.add_metrics(progress.step, "speed", speed)
                    logger.info("%s  %s  %s", progress, _format(means), _format(speed))
            if finished or progress.step % loop.validate_every == 0:
                found = validate()
                scores = _average_scores(found.metrics, ranks)
                is_best = progress.improves(scores, loop.best_metric, loop.best_is)
                if recorder:
                    recorder.add_metrics(progress.step, "validation", scores)
                    recorder.add_pictures(progress.step, found.pictures)
                    recorder.add_videos(progress.step, found.videos)
                    best = "  (best so far)" if is_best else ""
                    logger.info("%s  validation: %s%s", progress, _format(scores), best)
                if recorder and is_best:
                    save_weights(folder.weights_path("best"))
                if observe is not None and progress.step % loop.validate_every == 0:
                    observe(scores)
            if recorder and (finished or stopping or progress.step % loop.save_every == 0):
                save_weights(folder.weights_path(progress.step))
                save_state(folder.state_path(progress.step), everything)
                folder.prune(loop.keep_last)
        if recorder and stopping:
            signal = signals[0] if signals else "a signal to another rank"
            logger.info("%s  stopped by %s; the same command continues", progress, signal)
    ranks.barrier()
    return progress.step


def seed_everything(*numbers: int) -> None:
    """Set the random state of Python, NumPy and PyTorch (all devices) from the given numbers."""
    state = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))


def _restore(
    folder: RunDir, everything: Mapping[str, Stateful], progress: Progress, ranks: Ranks
) -> None:
    saved_steps = folder.saved_steps()
    newest = saved_steps[-1] if saved_steps else 0
    if ranks.broadcast_number(newest) != newest:
        raise ConfigError(
            f"{folder.path}: rank {ranks.rank} sees step {newest} as the newest checkpoint, rank 0 "
            "another; put the run folder on a disk that all machines share"
        )
    if saved_steps:
        load_state(folder.state_path(newest), everything)


def _average(
    metrics: Mapping[str, Tensor], stop: bool, ranks: Ranks
) -> tuple[dict[str, float], bool]:
    """Return the mean of each metric over the ranks, and whether any rank was asked to stop.

    One exchange and one wait for the device per update; it also makes a NaN on one rank stop all.
    """
    values = [value.detach().float().reshape(()) for value in metrics.values()]
    packed = torch.stack([*values, torch.tensor(float(stop), device=ranks.device)])
    *means, stopping = ranks.mean(packed).tolist()
    return dict(zip(metrics, means, strict=True)), stopping > 0


def _check_finite(means: Mapping[str, float], batch: Batch, step: int) -> None:
    broken = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
    if broken:
        raise RetalkingError(
            f"step {step}: {', '.join(broken)}; clips of this batch: {', '.join(batch.clip_ids)}; "
            "nothing was saved since the last checkpoint"
        )


def _average_scores(scores: Mapping[str, float], ranks: Ranks) -> dict[str, float]:
    on_device = {name: torch.tensor(value, device=ranks.device) for name, value in scores.items()}
    return _average(on_device, False, ranks)[0]


def _format(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
