"""The training loop that the four trainers share. It knows no network, loss or optimiser.

A trainer builds its networks and hands over closures: ``step`` for one update, ``open_data`` for
the batches from a given step on, ``validate`` and ``save_weights``. Everything here is a function
of the number of updates done: the random state is set anew from (seed, rank, step) before each
update and the data is addressed by step, so that a run that was killed and continued ends in the
same bits as one that ran through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retalking.config import Schema
from retalking.errors import ConfigError, RetalkingError
from retalking.training.batches import Batch, to_device
from retalking.training.distributed import Ranks, seed_everything
from retalking.training.interrupts import heed_signals
from retalking.training.progress import Clock, Progress
from retalking.training.record.films import Film
from retalking.training.record.recorder import Recorder, open_recorder
from retalking.training.run_dir import RunDir, open_run_dir, own_run_dir
from retalking.training.scores import average, average_scores, describe_fault, format_values
from retalking.training.settings import LoopSettings, ToleranceSettings
from retalking.training.state import Stateful, is_finite, load_state, save_state
from retalking.training.update.optimization import ComputeSettings

logger = logging.getLogger(__name__)

MAY_DIFFER = frozenset(
    {"loop.num_steps", "loop.num_workers", "loop.log_every", "loop.save_every", "loop.keep_last"}
    | {"loop.patience", "loop.logger", "compute.checkpointing"}
    | {f"loop.tolerance.{name}" for name in ToleranceSettings.model_fields}
)
"""Settings that may change when a run is continued, since no update depends on them."""


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
        may_change: settings that may differ from the folder's this time (``--allow-change``).
    """

    run_dir: Path
    ranks: Ranks = field(default_factory=Ranks)
    may_change: tuple[str, ...] = ()


class Validation(NamedTuple):
    """What a validation found.

    Attributes:
        metrics: over what all ranks were given (``Ranks.share``); the loop averages once more.
        pictures: ``[N, 3, H, W]``, or ``[N, T, 3, H, W]`` for one clip per row, in [0, 1], by name;
            those of rank 0 are shown.
        films: by name, likewise.
    """

    metrics: dict[str, float]
    pictures: Mapping[str, Tensor] = MappingProxyType({})
    films: Mapping[str, Film] = MappingProxyType({})


@dataclass(frozen=True)
class _Hooks:
    """What a trainer hands over; see ``run``."""

    step: Callable[[Any, int], Mapping[str, Tensor]]
    open_data: Callable[[int], Generator[Any, None, None]]
    validate: Callable[[], Validation]
    save_weights: Callable[[Path], None]
    observe: Callable[[Mapping[str, float]], None] | None


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

    An update whose metrics are not finite is left out and its clips are named in the log; what else
    a run survives is ``config.loop.tolerance``. Whatever ends it between two updates leaves a
    checkpoint.

    Args:
        config: all settings of the run; kept in the folder and compared on resume.
        job: folder and ranks.
        state: everything that an update changes, by name, already on its device.
        step: makes the update with the given index from a batch on ``job.ranks.device`` and
            returns scalar metrics, under the same names every time. It changes no parameter where
            a gradient is not finite (``Updater.apply``).
        open_data: returns the endless batches of this rank from the given step on.
        validate: judges the current weights; it may use random numbers freely.
        save_weights: writes what inference loads to the given path, complete or not at all, as
            ``models.weights.save`` does; called on rank 0.
        observe: is told the metrics of every regular validation, on every rank, for schedules that
            depend on them; not those of the extra one at the end, since the run may be extended.

    Returns:
        The number of updates done so far; fewer than ``num_steps`` after SIGINT or SIGTERM.

    Raises:
        ConfigError: the folder is another configuration's or in use, or a setting does not fit.
        RetalkingError: more faults than are tolerated, or a file cannot be written.
        WeightsError: the checkpoint to continue from is damaged.
    """
    ranks = job.ranks
    with own_run_dir(job.run_dir) if ranks.is_main else nullcontext():
        changes: list[str] = []
        if ranks.is_main:
            changes = open_run_dir(job.run_dir, config, MAY_DIFFER, job.may_change)
        ranks.barrier()
        hooks = _Hooks(step, open_data, validate, save_weights, observe)
        return _Training(config, job, state, hooks).go_on(changes)


class _Spoilt(Exception):
    """Batch after batch is not finite, or one spoilt the state: only an older state helps."""


class _Training:
    """A run on its way; all that decides the updates is in ``everything``."""

    def __init__(
        self, config: TrainingConfig, job: Job, state: Mapping[str, Stateful], hooks: _Hooks
    ) -> None:
        self._config, self._loop, self._ranks, self._hooks = config, config.loop, job.ranks, hooks
        self._folder = RunDir(job.run_dir)
        self._progress = Progress(config.loop.num_steps)
        self._everything = {**state, "progress": self._progress}
        self._bad_in_a_row = 0
        self._between_updates = True

    def go_on(self, changes: Sequence[str]) -> int:
        """Train from the last checkpoint on, and go back to it as often as is allowed."""
        _restore(self._folder, self._everything, self._progress, self._ranks)
        for rollbacks_left in range(self._loop.tolerance.rollbacks, -1, -1):
            try:
                return self._train(changes)
            except _Spoilt as fault:
                if not rollbacks_left or not self._folder.saved_steps():
                    raise RetalkingError(f"{fault}; nothing was saved since then") from None
                left_out = set(self._progress.left_out)
                _restore(self._folder, self._everything, self._progress, self._ranks)
                self._progress.left_out |= left_out
                if self._ranks.is_main:  # so that the same command leaves them out as well
                    self._save_state()
        raise AssertionError("unreachable")

    def _train(self, changes: Sequence[str]) -> int:
        progress, ranks = self._progress, self._ranks
        recording = self._open_recorder() if ranks.is_main else None
        batches = self._hooks.open_data(progress.step)
        self._bad_in_a_row, self._between_updates = 0, True
        with recording or nullcontext() as recorder, heed_signals() as signals, closing(batches):
            for change in changes:
                logger.info("setting changed: %s", change)
            if progress.step:
                logger.info("%s  continuing", progress)
            try:
                self._loop_over(batches, recorder, signals)
            except _Spoilt as fault:
                logger.warning("%s; only the last checkpoint helps", fault)
                raise
            except Exception:
                if self._between_updates:
                    self._save_what_is_there()
                raise
        ranks.barrier()
        return progress.step

    def _open_recorder(self) -> AbstractContextManager[Recorder]:
        settings = self._config.model_dump(mode="json")
        step = self._progress.step
        return open_recorder(self._folder.path, step, self._loop.logger, settings)

    def _loop_over(
        self, batches: Iterator[Any], recorder: Recorder | None, signals: Sequence[str]
    ) -> None:
        loop, progress, clock = self._loop, self._progress, Clock()
        stopping, finished = False, progress.ended(loop.patience)
        while not finished and not stopping:
            stopping = self._update(clock.next_of(batches), bool(signals))
            finished = progress.ended(loop.patience)
            if finished or progress.step % loop.log_every == 0:
                means, speed = progress.means.take(), clock.take()
                if recorder:
                    recorder.add_metrics(progress.step, "train", means)
                    recorder.add_metrics(progress.step, "speed", speed)
                    logger.info("%s  %s  %s", progress, format_values(means), format_values(speed))
            if finished or progress.step % loop.validate_every == 0:
                self._validate(recorder)
                finished = progress.ended(loop.patience)
            if recorder and (finished or stopping or progress.step % loop.save_every == 0):
                self._hooks.save_weights(self._folder.weights_path(progress.step))
                self._save_state()
                self._folder.prune(loop.keep_last)
        if recorder and finished and progress.step < loop.num_steps:
            logger.info("%s  ends: %d validations without a better one", progress, progress.stale)
        if recorder and stopping:
            signal = signals[0] if signals else "a signal to another rank"
            logger.info("%s  stopped by %s; the same command continues", progress, signal)

    def _update(self, batch: Any, stop: bool) -> bool:
        """Make the next update, or leave it out; returns whether any rank was asked to stop."""
        progress, ranks = self._progress, self._ranks
        if progress.step in progress.left_out:
            progress.step += 1
            return average({}, stop, ranks)[1]
        batch = to_device(batch, ranks.device)
        seed_everything(self._loop.seed, ranks.rank, progress.step)
        self._between_updates = False
        metrics = self._hooks.step(batch, progress.step)
        means, stopping = average(metrics, stop, ranks)
        fault = describe_fault(means, batch, progress.step)
        if fault is None:
            self._bad_in_a_row = 0
            progress.means.add(means)
        else:
            self._leave_out(fault)
        progress.step += 1
        self._between_updates = True
        return stopping

    def _leave_out(self, fault: str) -> None:
        self._bad_in_a_row += 1
        self._progress.left_out.add(self._progress.step)
        spoilt = not all(is_finite(item.state_dict()) for item in self._everything.values())
        if self._ranks.mean(torch.tensor(float(spoilt), device=self._ranks.device)) > 0:
            raise _Spoilt(f"{fault}; the training state is not finite any more")
        if self._bad_in_a_row > self._loop.tolerance.bad_batches:
            raise _Spoilt(f"{fault}; {self._bad_in_a_row} such batches in a row")
        logger.warning("%s; the batch is left out", fault)

    def _validate(self, recorder: Recorder | None) -> None:
        loop, progress = self._loop, self._progress
        found = self._hooks.validate()
        scores = average_scores(found.metrics, self._ranks)
        is_best = progress.improves(scores, loop.best_metric, loop.best_is)
        if recorder:
            recorder.add_metrics(progress.step, "validation", scores)
            recorder.add_pictures(progress.step, found.pictures)
            recorder.add_films(progress.step, found.films)
            best = "  (best so far)" if is_best else ""
            logger.info("%s  validation: %s%s", progress, format_values(scores), best)
        if recorder and is_best:
            self._hooks.save_weights(self._folder.weights_path("best"))
        if self._hooks.observe is not None and progress.step % loop.validate_every == 0:
            self._hooks.observe(scores)

    def _save_state(self) -> None:
        save_state(self._folder.state_path(self._progress.step), self._everything)

    def _save_what_is_there(self) -> None:
        saved = self._progress.step in (0, *self._folder.saved_steps())
        if self._ranks.is_main and not saved:
            with suppress(RetalkingError):  # it is the first fault that the user has to hear of
                self._save_state()
                logger.warning("%s  saved before the run ends with an error", self._progress)


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
