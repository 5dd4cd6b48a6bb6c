"""One update of one optimiser: precision, accumulation, averaging over ranks, clipping, rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.training.batches import Batch, split
from retalking.training.distributed import Ranks, share_batch_norm
from retalking.training.update.checkpointing import checkpoint_blocks
from retalking.training.update.reduction import GradientReducer

Precision = Literal["fp32", "bf16", "fp16"]

_AUTOCAST_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class ComputeSettings(Schema):
    """How the arithmetic is done; it does not change what is computed."""

    precision: Precision
    """fp16 scales the loss; bf16 needs none."""
    accumulate: int = Field(ge=1)
    """Micro-batches per update; memory falls by this factor. Batch norm sees one micro-batch at a
    time, so its statistics are noisier than those of the whole batch."""
    checkpointing: bool
    """Compute the blocks of D-, L- and E-Net again on the way back instead of keeping what they
    computed: the same numbers, with less memory and a third more work."""
    compile: bool
    """Run the trained networks through torch.compile."""
    channels_last: bool
    """Store convolution weights channels-last, faster on GPUs with tensor cores."""
    batch_norm: Literal["ranks", "sync", "local"]
    """Over which samples batch norm takes its statistics. ``ranks``: those of all ranks, on any
    device. ``sync``: the same by PyTorch's SyncBatchNorm, with less memory and fewer, fused
    reductions, on GPUs only. ``local``: those of a rank alone, as most published code does; several
    processes then differ from one."""
    deterministic: bool
    """Use only algorithms that give the same bits every time; slower on GPUs."""


class StepDecay(Schema):
    """A learning rate that falls in steps."""

    every: int = Field(ge=1)
    """Updates between two steps."""
    factor: float = Field(gt=0, le=1)
    """By which each multiplies the rate."""


class OptimizerSettings(Schema):
    """Adam (Kingma and Ba 2014), its learning rate over time, and gradient clipping."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    warmup_steps: int = Field(ge=0)
    """Steps over which the rate rises linearly from zero."""
    decay_steps: int | None = Field(ge=1)
    """The rate falls to zero along half a cosine until this step; null keeps it, as the paper."""
    step_decay: StepDecay | None
    """Further steps down; null for none, as the paper."""
    clip_norm: float | None = Field(gt=0)
    """Longest gradient, as the 2-norm over all parameters; null does not clip."""


def learning_rate(settings: OptimizerSettings, step: int) -> float:
    """Return the rate for the update with index ``step``, a function of nothing else."""
    rate = settings.learning_rate
    if settings.decay_steps is not None:
        rate *= (1 + math.cos(math.pi * min(1.0, step / settings.decay_steps))) / 2
    if settings.step_decay is not None:
        rate *= settings.step_decay.factor ** (step // settings.step_decay.every)
    return rate * min(1.0, (step + 1) / (settings.warmup_steps + 1))


def prepare(network: nn.Module, settings: ComputeSettings, ranks: Ranks) -> None:
    """Make a network ready to be trained, in place; do this before making its optimiser and EMA.

    Moves it to the device, gives every rank the weights of rank 0, shares its batch norms over the
    ranks, and applies the switches for checkpointing, compiling and channels-last.

    Raises:
        ConfigError: ``batch_norm: sync`` without a GPU, or ``checkpointing`` beside ``compile``.
    """
    # PyTorch's own batch norm errs by 1e-4 for channels-last pictures on CPUs, so that one process
    # would not do the same as several. Next to bfloat16 that is nothing, and it is faster.
    several, kind = ranks.world_size > 1, settings.batch_norm
    if kind == "sync" and ranks.device.type != "cuda":
        raise ConfigError("compute.batch_norm: sync needs GPUs; use ranks or local")
    if settings.checkpointing and settings.compile:
        raise ConfigError("compute.checkpointing and compute.compile: expected one of them at most")
    if several and kind == "sync":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    elif (several and kind == "ranks") or (
        ranks.device.type == "cpu" and settings.precision == "fp32" and kind != "local"
    ):
        share_batch_norm(network)
    network.to(ranks.device)
    ranks.broadcast(network)
    if settings.checkpointing:
        checkpoint_blocks(network)
    if settings.channels_last:
        network.to(memory_format=torch.channels_last)
    if settings.compile:
        network.compile()


class Updater:
    """An optimiser with all that surrounds its step.

    Used in the open by a training script::

        for part in updater.micro_batches(batch):
            with updater.autocast():
                loss = ...
            updater.backward(loss)
        gradient_norm = updater.apply(step)

    Args:
        parameters: those to train; frozen ones are left out.
        settings: rate and clipping.
        compute: precision and accumulation.
        ranks: the processes whose gradients are averaged. Every rank and micro-batch counts the
            same, so a loss must be a mean over samples.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        settings: OptimizerSettings,
        compute: ComputeSettings,
        ranks: Ranks,
    ) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._settings = settings
        self._compute = compute
        self._ranks = ranks
        self._optimizer = torch.optim.Adam(
            self._parameters, lr=settings.learning_rate, betas=settings.betas
        )
        self._reducer = GradientReducer(self._parameters, ranks)
        self._scaler = torch.amp.GradScaler(ranks.device.type, enabled=compute.precision == "fp16")

    def micro_batches(self, batch: Batch) -> Iterator[Batch]:
        """Forget all gradients and yield the parts of the batch that fit into memory."""
        self._optimizer.zero_grad()
        *others, last = split(batch, self._compute.accumulate)
        yield from others
        self._reducer.expect()
        yield last

    def autocast(self) -> torch.autocast:
        """Return the context in which networks and losses run."""
        dtype = _AUTOCAST_TYPES[self._compute.precision]
        return torch.autocast(self._ranks.device.type, dtype=dtype, enabled=dtype is not None)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a micro-batch's loss."""
        self._scaler.scale(loss / self._compute.accumulate).backward()

    def apply(self, step: int) -> Tensor:
        """Average over ranks, clip, and update the parameters, unless a gradient is not finite.

        Args:
            step: index of the update, which sets the learning rate.

        Returns:
            The length of the gradient before clipping; not finite where the update was skipped. In
            fp16 it is 0 then, since a scaled gradient may overflow, which lowers the scale.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._settings, step)
        self._reducer.finish()
        self._scaler.unscale_(self._optimizer)
        limit = self._settings.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self._parameters, limit).detach()
        if self._scaler.is_enabled() or norm.isfinite():
            self._scaler.step(self._optimizer)
        self._scaler.update()
        return norm.nan_to_num(0, 0, 0) if self._scaler.is_enabled() else norm

    def state_dict(self) -> dict[str, Any]:
        """Return what resume restores."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore moments and loss scale."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
