"""Device, precision, and running networks over any number of frames in batches of one size."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retalking.errors import RetalkingError
from retalking.networks.batches import next_batch, take
from retalking.networks.device import (
    DeviceName,
    Precision,
    Traffic,
    choose_device,
    choose_precision,
)
from retalking.networks.finite import FiniteResults
from retalking.networks.run import Finish, Forward, Run, Several
from retalking.types import FloatArray, IntArray

logger = logging.getLogger(__name__)

_AUTO_BATCH = {"cuda": 16, "mps": 8, "cpu": 4}
_LARGE = 10_000_000
"""Parameters from which one frame keeps a CPU busy; batches of such networks leave its caches."""


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
        traffic: what went to the device and came back, all calls together.
        holds_pictures: whether pictures stay on the device between networks, where it can be. On a
            CPU OpenCV is faster.
    """

    device: torch.device
    precision: torch.dtype
    batch_size: int
    large_batch_size: int | None = None
    traffic: Traffic = field(default_factory=Traffic)
    holds_pictures: bool = False
    _finite: FiniteResults = field(
        default_factory=FiniteResults, init=False, compare=False, repr=False
    )

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network here, ready for inference."""
        network.to(self.device)
        network.to(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)

    def for_frames(self, numbers: IntArray, stays: bool = False) -> Run:
        """Return this runner for some frames.

        Args:
            numbers: int64 ``[T]``, their numbers, increasing.
            stays: inputs are on the device, where ``send`` brought them, and results stay there.
        """
        return _RunOfFrames(self, numbers, stays)

    only = for_frames

    def send(self, part: Tensor) -> Tensor:
        """Bring a tensor to the device, which need not wait for it."""
        return self._send(part)

    def fetch(self, part: Tensor) -> Tensor:
        """Bring a tensor back from the device, which waits for everything before it.

        Raises:
            RetalkingError: a result that stayed there is not finite.
        """
        self.traffic.count_fetched(part)
        fetched = part.cpu()
        self._finite.settle()
        return fetched

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
            finish: makes of each batch's result, float32 on the device, what is kept; as bytes, the
                pictures of a chunk take a quarter, on their way from the device too.
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
        stays: bool = False,
    ) -> tuple[Tensor, ...]:
        """Apply a network with several results, see ``__call__``; ``stays``, see ``for_frames``."""
        order = np.arange(len(inputs[0])) if numbers is None else numbers
        results: list[tuple[Tensor, ...]] = []
        done = 0
        while done < len(order):
            size = self.size_for(network)
            rows, places = next_batch(order, done, size)
            try:
                batch = [take(part, rows) for part in inputs]
                batch = batch if stays else [self._send(part) for part in batch]
                computed = self._run(forward, batch)
                self._finite.add(network, self.precision, computed)
                if not stays:
                    self._finite.settle()
                kept = self._finish(computed, places, finish)
                results.append(kept if stays else tuple(self.fetch(part) for part in kept))
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
            done += len(places)
        return tuple(torch.cat(parts) for parts in zip(*results, strict=True))

    def over(
        self,
        function: Callable[..., FloatArray],
        *arrays: NDArray[np.generic],
        numbers: IntArray | None = None,
    ) -> FloatArray:
        """Apply what runs a large network by itself, frame by frame or in batches as above.

        Args:
            function: makes of batches of the arrays float32 ``[batch, ...]``.
            arrays: ``[T, ...]`` each, at least one frame.
            numbers: int64 ``[T]`` of the frames, increasing; 0, 1, 2 ... if not given.
        """
        order = np.arange(len(arrays[0])) if numbers is None else numbers
        size = self.large_batch_size or self.batch_size
        results: list[FloatArray] = []
        done = 0
        while done < len(order):
            rows, places = next_batch(order, done, size)
            results.append(function(*(part[rows] for part in arrays))[places])
            done += len(places)
        return np.concatenate(results)

    def _limit(self, size: int) -> None:
        self.batch_size = min(self.batch_size, size)
        if self.large_batch_size is not None:
            self.large_batch_size = min(self.large_batch_size, size)

    def _send(self, part: Tensor) -> Tensor:
        """Bring a part of the inputs to the device, which need not wait for it."""
        self.traffic.count_sent(part)
        if self.device.type == "cuda" and part.device.type == "cpu":
            return part.pin_memory().to(self.device, non_blocking=True)
        return part.to(self.device)

    @torch.inference_mode()
    def _finish(
        self, computed: list[Tensor], places: IntArray, finish: Several
    ) -> tuple[Tensor, ...]:
        """Return what is kept of the results of some places."""
        if len(places) == len(computed[0]):
            return finish(*computed)
        rows = torch.from_numpy(places).to(self.device)
        return finish(*(result[rows] for result in computed))

    def _run(self, forward: Several, batch: list[Tensor]) -> list[Tensor]:
        lower = self.precision != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.precision, enabled=lower),
        ):
            return [result.float() for result in forward(*batch)]


@dataclass(frozen=True)
class _RunOfFrames:
    """A runner for frames with given numbers."""

    runner: Runner
    numbers: IntArray
    stays: bool = False

    def __call__(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Forward | None = None,
        finish: Finish | None = None,
    ) -> Tensor:
        (result,) = self.several(
            network,
            *inputs,
            forward=lambda *batch: ((forward or network)(*batch),),
            finish=lambda kept: (kept if finish is None else finish(kept),),
        )
        return result

    def several(
        self, network: Callable[..., Any], *inputs: Tensor, forward: Several, finish: Several
    ) -> tuple[Tensor, ...]:
        return self.runner.several(
            network,
            *inputs,
            forward=forward,
            finish=finish,
            numbers=self.numbers,
            stays=self.stays,
        )

    def only(self, rows: IntArray) -> Run:
        return dataclasses.replace(self, numbers=self.numbers[rows])

    def over(self, function: Callable[..., FloatArray], *arrays: NDArray[np.generic]) -> FloatArray:
        return self.runner.over(function, *arrays, numbers=self.numbers)


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
    on_cpu, on_gpu = (chosen.type == kind for kind in ("cpu", "cuda"))
    if batch_size is not None:
        return Runner(chosen, dtype, batch_size, holds_pictures=on_gpu)
    return Runner(
        chosen, dtype, _AUTO_BATCH[chosen.type], 1 if on_cpu else None, holds_pictures=on_gpu
    )
