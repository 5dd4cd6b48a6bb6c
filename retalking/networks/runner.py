"""Device, precision, and running networks over any number of frames in batches of one size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from retalking.errors import ConfigError, RetalkingError
from retalking.types import IntArray

logger = logging.getLogger(__name__)

Forward = Callable[..., Tensor]
Several = Callable[..., tuple[Tensor, ...]]
Finish = Callable[[Tensor], Tensor]


class Run(Protocol):
    """Applies networks to tensors ``[T, ...]``: a ``Runner``, or one for given frames."""

    def __call__(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Forward | None = None,
        finish: Finish | None = None,
    ) -> Tensor:
        """See ``Runner``."""

    def several(
        self, network: Callable[..., Any], *inputs: Tensor, forward: Several, finish: Several
    ) -> tuple[Tensor, ...]:
        """See ``Runner.several``."""

    def only(self, rows: IntArray) -> Run:
        """Return the same for some of the frames, int64, increasing."""


DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_AUTO_BATCH = {"cuda": 16, "mps": 8, "cpu": 4}
_CPU_BF16 = ("amx_bf16", "avx512_bf16")
"""Instruction sets of Intel, and of Intel and AMD, as PyTorch calls them."""
_LARGE = 10_000_000
"""Parameters from which one frame keeps a CPU busy; batches of such networks leave its caches."""


def choose_device(name: DeviceName) -> torch.device:
    """Return the device; ``auto`` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: the named device is not on this machine.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        usable = ", ".join(kind for kind, here in present.items() if here)
        raise ConfigError(f"--device: got {name}, which this machine lacks; usable here: {usable}")
    return torch.device(name)


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the number format of convolutions; ``auto`` is bf16 where native, else fp32.

    Raises:
        ConfigError: fp16 on the CPU, where it is slower than fp32 and overflows.
    """
    if name == "auto":
        return torch.bfloat16 if _computes_in_bf16(device) else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("--precision: got fp16 on the CPU, expected fp32 or bf16")
    return _DTYPES[name]


def _computes_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32: older GPUs and CPUs emulate it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of PyTorch cannot tell; then fp32 it is.
    ask = getattr(torch.cpu, "get_capabilities", None)
    able: dict[str, Any] = {} if ask is None else ask()
    return device.type == "cpu" and any(able.get(name) for name in _CPU_BF16)


@dataclass
class Runner:
    """Runs networks over frames in batches of one fixed size.

    The result for a frame does not depend on which frames come with it, to the last bit. Libraries
    choose their kernels by the shape of a batch, and some treat its rows differently, so the size
    is fixed, every frame has its place by its number, and places without a frame hold copies of
    one. When memory runs out the size is halved, for good.

    Attributes:
        device: where networks and batches live.
        precision: number format under autocast.
        batch_size: frames per call.
        large_batch_size: frames per call of networks with ten million parameters or more, at most
            ``batch_size``; the same if not given.
    """

    device: torch.device
    precision: torch.dtype
    batch_size: int
    large_batch_size: int | None = None

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network here, ready for inference."""
        network.to(self.device)
        network.to(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)

    def for_frames(self, numbers: IntArray) -> Run:
        """Return this runner for the frames with these numbers, int64 ``[T]``, increasing."""
        return _RunOfFrames(self, numbers)

    only = for_frames

    def size_for(self, network: Callable[..., Any]) -> int:
        """Frames per call of a network."""
        if self.large_batch_size is None or not isinstance(network, nn.Module):
            return self.batch_size
        num_parameters = sum(parameter.numel() for parameter in network.parameters())
        return self.large_batch_size if num_parameters >= _LARGE else self.batch_size

    def __call__(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Forward | None = None,
        finish: Finish | None = None,
        numbers: IntArray | None = None,
    ) -> Tensor:
        """Apply a network frame-wise.

        Args:
            network: what is applied.
            inputs: ``[T, ...]`` each, on any device, at least one frame.
            forward: applies it to batches of the inputs and returns ``[batch, ...]``; the network's
                own call if not given.
            finish: makes of each batch's result, float32 on the CPU, what is kept; as bytes, the
                pictures of a chunk take a quarter.
            numbers: int64 ``[T]`` of the frames, increasing; 0, 1, 2 ... if not given.

        Returns:
            ``[T, ...]`` on the CPU, float32 unless ``finish`` says otherwise.

        Raises:
            RetalkingError: out of memory with a batch of one, or a result that is not finite.
        """
        (result,) = self.several(
            network,
            *inputs,
            forward=lambda *batch: ((forward or network)(*batch),),
            finish=lambda kept: (kept if finish is None else finish(kept),),
            numbers=numbers,
        )
        return result

    def several(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Several,
        finish: Several,
        numbers: IntArray | None = None,
    ) -> tuple[Tensor, ...]:
        """Apply a network that has several results, each ``[batch, ...]``; see ``__call__``."""
        order = np.arange(len(inputs[0])) if numbers is None else numbers
        results: list[tuple[Tensor, ...]] = []
        done = 0
        while done < len(order):
            size = self.size_for(network)
            places = order[done:] % size
            count = int(np.count_nonzero(order[done:] // size == order[done] // size))
            rows = done + _rows_by_place(places[:count], size)
            try:
                batch = [part[rows].to(self.device) for part in inputs]
                computed = self._run(network, forward, batch)
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise RetalkingError(
                        f"out of memory on {self.device} with one frame per batch; "
                        "use --device cpu, a lower --precision or fewer parts"
                    ) from error
                self._limit(size // 2)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                logger.warning("out of memory: batches of %d frames from here", size // 2)
                continue
            kept = [result[places[:count]] for result in computed]
            results.append(finish(*kept))
            done += count
        return tuple(torch.cat(parts) for parts in zip(*results, strict=True))

    def _limit(self, size: int) -> None:
        self.batch_size = min(self.batch_size, size)
        if self.large_batch_size is not None:
            self.large_batch_size = min(self.large_batch_size, size)

    def _run(
        self,
        network: Callable[..., Any],
        forward: Several,
        batch: list[Tensor],
    ) -> list[Tensor]:
        lower = self.precision != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.precision, enabled=lower),
        ):
            results = [result.float().cpu() for result in forward(*batch)]
        if not all(torch.isfinite(result).all() for result in results):
            name = getattr(network, "__name__", type(network).__name__)
            raise RetalkingError(
                f"{name}: the result is not finite in {self.precision}; "
                "use --precision fp32, or check the weights"
            )
        return results


@dataclass(frozen=True)
class _RunOfFrames:
    """A runner for frames with given numbers."""

    runner: Runner
    numbers: IntArray

    def __call__(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Forward | None = None,
        finish: Finish | None = None,
    ) -> Tensor:
        return self.runner(network, *inputs, forward=forward, finish=finish, numbers=self.numbers)

    def several(
        self, network: Callable[..., Any], *inputs: Tensor, forward: Several, finish: Several
    ) -> tuple[Tensor, ...]:
        return self.runner.several(
            network, *inputs, forward=forward, finish=finish, numbers=self.numbers
        )

    def only(self, rows: IntArray) -> Run:
        return _RunOfFrames(self.runner, self.numbers[rows])


def make_runner(
    device: DeviceName = "auto", precision: Precision = "auto", batch_size: int | None = None
) -> Runner:
    """Return a runner; without ``batch_size`` it starts from what suits device and network.

    On a CPU that is one frame for the official networks and four for our small ones (measured by
    ``scripts/benchmark.py --batching``).

    Raises:
        ConfigError: see ``choose_device`` and ``choose_precision``.
    """
    chosen = choose_device(device)
    dtype = choose_precision(precision, chosen)
    if batch_size is not None:
        return Runner(chosen, dtype, batch_size)
    return Runner(chosen, dtype, _AUTO_BATCH[chosen.type], 1 if chosen.type == "cpu" else None)


def _rows_by_place(places: IntArray, size: int) -> IntArray:
    """Row for each place of a batch: the frame that belongs there, else the first one."""
    rows = np.zeros(size, dtype=np.int64)
    rows[places] = np.arange(len(places))
    return rows
