"""Data-parallel training over processes that ``torchrun`` starts, on one or more machines."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn

from retalking.errors import ConfigError
from retalking.networks.device import DeviceName, choose_device

Item = TypeVar("Item")

TIMEOUT = timedelta(hours=1)
"""How long ranks wait for each other; rank 0 may be writing a checkpoint to a slow disk."""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together; the default is a process on its own.

    Attributes:
        rank: number of this process, 0 for the one that writes files.
        world_size: number of processes.
        device: where this process computes.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the ranks, the same bits on each of them."""
        if self.world_size == 1:
            return values
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values / self.world_size

    def begin_mean(self, values: Tensor) -> Callable[[], Tensor]:
        """Begin what ``mean`` does; what is returned waits for it. ``values`` are overwritten."""
        if self.world_size == 1:
            return lambda: values
        work: Any = torch.distributed.all_reduce(values, async_op=True)

        def finish() -> Tensor:
            work.wait()
            return values / self.world_size

        return finish

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this rank's part of a sequence; the first rank has the first items."""
        edges = (self.rank, self.rank + 1)
        begin, end = (-(-len(items) * edge // self.world_size) for edge in edges)
        return items[begin:end]

    def gather(self, found: Sequence[Item]) -> list[Item]:
        """Return what all ranks found of what ``share`` gave them, in the order of one process.

        Args:
            found: anything that can be pickled, on the CPU.
        """
        if self.world_size == 1:
            return list(found)
        parts: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(parts, list(found))
        return list(itertools.chain(*parts))

    def broadcast(self, module: nn.Module) -> None:
        """Give every rank the parameters and buffers of rank 0."""
        if self.world_size > 1:
            for value in module.state_dict().values():
                torch.distributed.broadcast(value, src=0)

    def broadcast_number(self, number: int) -> int:
        """Return the number that rank 0 has."""
        if self.world_size == 1:
            return number
        value = torch.tensor(number, device=self.device)
        torch.distributed.broadcast(value, src=0)
        return int(value)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.broadcast_number(0)


@contextmanager
def join_ranks(device: DeviceName = "auto") -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, or stay alone without it.

    Args:
        device: what to compute on; this process's own GPU where there are several.

    Raises:
        ConfigError: no such device for this process, or torchrun's variables are incomplete.
    """
    try:
        rank, world_size, local_rank = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError as error:
        raise ConfigError(f"RANK, WORLD_SIZE or LOCAL_RANK: {error}; start with torchrun") from None
    place = _place(device, local_rank)
    if world_size == 1:
        yield Ranks(device=place)
        return
    backend = "nccl" if place.type == "cuda" else "gloo"
    try:
        torch.distributed.init_process_group(backend, timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"rank {rank} of {world_size} cannot join the others: {error}; start with torchrun"
        ) from None
    try:
        yield Ranks(rank, world_size, place)
    finally:
        torch.distributed.destroy_process_group()


def _place(name: DeviceName, local_rank: int) -> torch.device:
    device = choose_device(name)
    if device.type != "cuda":
        return device
    num_gpus = torch.cuda.device_count()
    if local_rank >= num_gpus:
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU: there are {num_gpus}; "
            "start no more processes than GPUs or choose --device cpu"
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


class RankBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the samples of all ranks, as if one process had them all.

    PyTorch's SyncBatchNorm does the same on GPUs only. Every rank must hold equally many values.
    A process on its own may use it too.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept ``[B, C, ...]`` with any number of dimensions, like the layers it replaces."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``[B, C, ...]`` and, in training mode, update the running statistics."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean = _Mean.apply(x.mean(axes))
        centred = x - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(axes))
        count = x.numel() // x.shape[1] * _num_ranks()
        self._track(mean.detach(), variance.detach() * count / max(count - 1, 1))
        output = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # PyTorch's convention for a cumulative average
            momentum = 1 / float(self.num_batches_tracked or 1)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def _num_ranks() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


class _Mean(torch.autograd.Function):
    """Mean over the ranks; its gradient is the mean over the ranks again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        if _num_ranks() > 1:
            torch.distributed.all_reduce(values)
        return values / _num_ranks()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Mean.forward(ctx, gradients[0])


def share_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every batch norm inside ``module`` by a ``RankBatchNorm``; keys stay the same.

    Returns:
        The module itself, or its replacement where it is a batch norm.
    """
    for name, child in module.named_children():
        setattr(module, name, share_batch_norm(child))
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module
    shared = RankBatchNorm(
        module.num_features,
        module.eps,
        module.momentum,
        module.affine,
        module.track_running_stats,
    )
    shared.weight, shared.bias = module.weight, module.bias
    for name, buffer in module.named_buffers():
        shared.register_buffer(name, buffer)
    return shared.train(module.training)


def seed_everything(*numbers: int) -> None:
    """Set the random state of Python, NumPy and PyTorch (all devices) from the given numbers."""
    state = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))
