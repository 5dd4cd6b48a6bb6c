"""From numbered draws to batches: which samples a step, a rank and a micro-batch get.

A draw number names one training sample for ever: a data set turns it (and the seed) into a clip, a
position and an augmentation. Step ``s`` of batch size ``B`` uses draws ``s B`` to ``s B + B - 1``,
cut into equal, consecutive shares over the ranks, so that resume, the number of workers and the
number of ranks do not change the data.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from retalking.errors import ConfigError, RetalkingError
from retalking.training.distributed import Ranks

Sample_co = TypeVar("Sample_co", covariant=True)


class ClipBatch(Protocol):
    """What every batch carries, normally a ``NamedTuple`` of tensors ``[B, ...]``."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """The clip of each sample, named when a loss is not finite."""


Batch = TypeVar("Batch", bound=ClipBatch)


class Draws(Protocol[Sample_co]):
    """A data set as an endless, numbered sequence of samples."""

    def __getitem__(self, draw: int) -> Sample_co:
        """Return the sample of that number; the same at every call."""


class DrawSampler:
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


class _Guarded:
    """Draws that hand a mistake over as a value: raised in a worker, it would lose its one line."""

    def __init__(self, draws: Draws[Any]) -> None:
        self._draws = draws

    def __getitem__(self, draw: int) -> Any:
        try:
            return self._draws[draw]
        except RetalkingError as error:
            return error


def _collate(samples: list[Any]) -> Any:
    faults = (sample for sample in samples if isinstance(sample, RetalkingError))
    return next(faults, None) or default_collate(samples)


def read_batches(
    draws: Draws[Any], batch_size: int, start_step: int, num_workers: int, ranks: Ranks
) -> Generator[Any, None, None]:
    """Yield batches without end, the first one being that of ``start_step``; close it when done.

    Args:
        draws: its samples are collated field by field.
        batch_size: samples per step over all ranks.
        start_step: index of the first step to serve.
        num_workers: loader processes; 0 loads in this process.
        ranks: decides the share of each batch.

    Raises:
        ConfigError: the batch cannot be shared out evenly.
        RetalkingError: what the data set raises, as it is.
    """
    loader = DataLoader(
        cast(Any, _Guarded(draws)),
        batch_sampler=cast(Any, DrawSampler(batch_size, start_step, ranks)),
        num_workers=num_workers,
        multiprocessing_context=_START_METHOD if num_workers else None,
        pin_memory=ranks.device.type == "cuda",
        collate_fn=_collate,
        worker_init_fn=_outlive_first_signal,
    )
    for batch in loader:
        if isinstance(batch, RetalkingError):
            raise batch
        yield batch


def _outlive_first_signal(_worker: int) -> None:
    # Ctrl-C and a scheduler's SIGTERM reach all processes; the trainer still needs its loaders for
    # the step that it finishes, and ends them itself. A second SIGTERM is meant for this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


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
