"""How long a run is, in which order it sees its data, and what it survives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from retalking.config import Schema

Logger = Literal["tensorboard", "wandb", "both"]


class ToleranceSettings(Schema):
    """What a run survives, counted anew at every start; beyond it the run ends with one line."""

    bad_samples: int = Field(ge=0)
    """Samples per rank that cannot be read; each is replaced by another, and named in the log."""
    bad_batches: int = Field(ge=0)
    """Batches in a row whose loss or gradient is not finite; each is left out, its clips named."""
    rollbacks: int = Field(ge=0)
    """Returns to the last checkpoint after more bad batches, or when one spoilt the state."""
    loader_restarts: int = Field(ge=0)
    """Starts of new loader processes in a row, after one was killed or hung."""
    loader_timeout_s: float = Field(gt=0)
    """Seconds without a batch after which loader processes are thought to hang."""


class LoaderSettings(Schema):
    """How samples come in."""

    batch_size: int = Field(ge=1)
    """Samples per update over all ranks and micro-batches."""
    num_workers: int = Field(ge=0)
    """Loader processes per rank; 0 loads in the training process."""
    tolerance: ToleranceSettings


class LoopSettings(LoaderSettings):
    """Length, cadence and data order of a run; cadences count updates."""

    seed: int = Field(ge=0)
    num_steps: int = Field(ge=1)
    log_every: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    save_every: int = Field(ge=1)
    keep_last: int = Field(ge=1)
    """Checkpoints kept besides the best weights."""
    logger: Logger
    """Who shows curves, pictures and films: ``tensorboard``, ``wandb`` (Weights & Biases, see
    requirements-wandb.txt) or ``both``; metrics.jsonl has the numbers in any case."""
    best_metric: str
    """Name of the validation metric that chooses the best weights."""
    best_is: Literal["lowest", "highest"]
    patience: int | None = Field(ge=1)
    """Validations in a row that are no better than the best, after which the run ends; null goes on
    to ``num_steps``."""
