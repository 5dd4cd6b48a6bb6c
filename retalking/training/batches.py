"""From numbered draws to batches: which samples a step, a rank and a micro-batch get.

A draw number names one training sample for ever: a data set turns it (and the seed) into a clip, a
position and an augmentation. Step ``s`` of batch size ``B`` uses draws ``s B`` to ``s B + B - 1``,
cut into equal, consecutive shares over the ranks, so that resume, the number of workers and the
number of ranks do not change the data.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from retalking.errors import ConfigError, RetalkingError
from retalking.exit_code import ENDING_SIGNALS
from retalking.training.distributed import Ranks
from retalking.training.settings import LoaderSettings

logger = logging.getLogger(__name__)

Sample_co = TypeVar("Sample_co", covariant=True)


class ClipBatch(Protocol):
    """What every batch carries, normally a ``NamedTuple`` of tensors ``[B, ...]``."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """The clip of each sample, named when a loss is not finite."""


Batch = TypeVar("Batch", bound=ClipBatch)


class Dataset(Protocol[Sample_co]):
    """A data set as an endless, numbered sequence of samples."""

    def __getitem__(self, draw: int) -> Sample_co:
        """Return the sample of that number; the same at every call."""


class StepSampler:
    """The draw numbers of each step for one rank, from ``start_step`` on, without end."""

    def __init__(self, batch_size: int, start_step: int, ranks: Ranks) -> None:
        if batch_size % ranks.world_size:
            raise ConfigError(
                f"batch_size: got {batch_size}, expected a multiple of the {ranks.world_size} ranks"
            )
        self._batch_size = batch_size
        self._start_step = start_step
        self._ranks = ranks

    def __iter__(self) -> Iterator[list[int]]:
        share = self._batch_size // self._ranks.world_size
        first = self._start_step * self._batch_size + self._ranks.rank * share
        while True:
            yield list(range(first, first + share))
            first += self._batch_size


_START_METHOD = "spawn" if sys.platform == "win32" else "forkserver"
"""A loader that is forked inherits the locks of this process's threads, and may wait for ever."""


_OTHER_DRAWS = 1 << 40
"""Distance to the draw that replaces an unreadable one: far beyond those of any run."""
_MAX_ATTEMPTS = 8
_CHECK_S = 5


class _Read(NamedTuple):
    """A sample, or a batch, and what could not be read in its place."""

    value: Any
    faults: tuple[str, ...]


class _Replacing:
    """Draws of which an unreadable one is replaced, by its number alone; its fault is handed on."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._draws = dataset

    def __getitem__(self, draw: int) -> Any:
        faults: list[str] = []
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return _Read(self._draws[draw + attempt * _OTHER_DRAWS], tuple(faults))
            except RetalkingError as error:
                faults.append(str(error))
                last = error
        return last  # raised in a worker, it would lose its one line


def _collate(samples: list[Any]) -> Any:
    lost = next((sample for sample in samples if isinstance(sample, RetalkingError)), None)
    if lost is not None:
        return lost
    faults = tuple(fault for sample in samples for fault in sample.faults)
    return _Read(default_collate([sample.value for sample in samples]), faults)


def read_batches(
    dataset: Dataset[Any], settings: LoaderSettings, start_step: int, ranks: Ranks
) -> Generator[Any, None, None]:
    """Yield batches without end, the first one being that of ``start_step``; close it when done.

    A sample that cannot be read is replaced by another, and loader processes that were killed or
    hang are started anew, both as often as the settings allow.

    Args:
        dataset: its samples are collated field by field.
        settings: batch size over all ranks, loader processes (0 loads in this process), tolerance.
        start_step: index of the first step to serve.
        ranks: decides the share of each batch.

    Raises:
        ConfigError: the batch cannot be shared out evenly.
        RetalkingError: too many samples cannot be read, or loader processes end too often.
    """
    tolerance = settings.tolerance
    step, num_bad, restarts = start_step, 0, 0
    while True:
        try:
            batches = iter(_load(dataset, settings, step, ranks))
            while True:
                batch = wait_for(batches, tolerance.loader_timeout_s)
                if isinstance(batch, RetalkingError):
                    raise batch
                num_bad += len(batch.faults)
                for fault in batch.faults:
                    logger.warning("step %d: a sample was replaced: %s", step, fault)
                if num_bad > tolerance.bad_samples:
                    raise RetalkingError(
                        f"{batch.faults[-1]}; {num_bad} samples could not be read, "
                        f"loop.tolerance.bad_samples allows {tolerance.bad_samples}"
                    )
                yield batch.value
                step, restarts = step + 1, 0
        except RuntimeError as error:
            if "DataLoader" not in str(error):  # a fault of the data set, not of its processes
                raise
            restarts += 1
            if restarts > tolerance.loader_restarts:
                raise RetalkingError(
                    f"step {step}: {_first_line(error)}; started anew "
                    f"{tolerance.loader_restarts} times; look for memory that runs out"
                ) from error
            logger.warning("step %d: %s; loaders are started anew", step, _first_line(error))


def _load(
    dataset: Dataset[Any], settings: LoaderSettings, step: int, ranks: Ranks
) -> Iterable[Any]:
    return DataLoader(
        cast(Any, _Replacing(dataset)),
        batch_sampler=cast(Any, StepSampler(settings.batch_size, step, ranks)),
        num_workers=settings.num_workers,
        multiprocessing_context=_START_METHOD if settings.num_workers else None,
        pin_memory=ranks.device.type == "cuda",
        collate_fn=_collate,
        worker_init_fn=_begin_worker,
        timeout=_CHECK_S if settings.num_workers else 0,
    )


def wait_for(batches: Iterator[Any], limit_s: float) -> Any:
    """Return the next batch of a loader that gives up every few seconds.

    With one long time-out PyTorch would notice only at its end that a process was killed.

    Raises:
        RuntimeError: nothing came within ``limit_s`` seconds, or a loader process ended.
    """
    waited_s = 0.0
    while True:
        try:
            return next(batches)
        except RuntimeError as error:
            waited_s += _CHECK_S
            if "DataLoader timed out" not in str(error) or waited_s >= limit_s:
                raise
        except (EOFError, OSError) as error:
            # A process that is killed while it hands a batch over breaks the pipe instead. What a
            # data set itself raises there comes back as "Caught ... in DataLoader worker".
            if "Caught" in str(error):
                raise
            raise RuntimeError("DataLoader worker was lost while it sent a batch") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _begin_worker(_worker: int) -> None:
    cv2.setNumThreads(1)  # as the loader does for torch: the workers share the processors
    # Ctrl-C and a scheduler's SIGTERM reach all processes; the trainer still needs its loaders for
    # the step that it finishes, and ends them itself. A second SIGTERM is meant for this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in set(ENDING_SIGNALS) - {signal.SIGINT}:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_at_the_next)


def _end_at_the_next(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch, however nested."""

    def move(value: Any) -> Any:
        return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

    return cast(Batch, _map(batch, move))


def split(batch: Batch, num_parts: int) -> list[Batch]:
    """Cut a batch into equal, consecutive micro-batches.

    Raises:
        ConfigError: its samples cannot be shared out evenly.
    """
    size = len(batch.clip_ids)
    if size % num_parts:
        raise ConfigError(
            f"accumulate: got {num_parts}, expected a divisor of the {size} samples per rank"
        )
    share = size // num_parts

    def cut(value: Any, part: int) -> Any:
        return value[part * share : (part + 1) * share]

    return [
        cast(Batch, _map(batch, lambda value, part=part: cut(value, part)))
        for part in range(num_parts)
    ]


def _map(value: Any, change: Any) -> Any:
    """Apply ``change`` to the tensors and lists of words in nested tuples and mappings."""
    if isinstance(value, dict):
        return {name: _map(item, change) for name, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_map(item, change) for item in value))
    return change(value)
