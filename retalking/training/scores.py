"""Metrics of an update or a validation: means over the ranks, faults, and their line in the log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from retalking.training.batches import ClipBatch
from retalking.training.distributed import Ranks
from retalking.training.progress import Means


def average(
    metrics: Mapping[str, Tensor], stop: bool, ranks: Ranks
) -> tuple[dict[str, float], bool]:
    """Return the mean of each metric over the ranks, and whether any rank was asked to stop.

    One exchange and one wait for the device per update; it also makes a NaN on one rank stop all.
    """
    values = [value.detach().float().reshape(()) for value in metrics.values()]
    packed = torch.stack([*values, torch.tensor(float(stop), device=ranks.device)])
    *means, stopping = ranks.mean(packed).tolist()
    return dict(zip(metrics, means, strict=True)), stopping > 0


def average_samples(found: Sequence[Mapping[str, float]], ranks: Ranks) -> dict[str, float]:
    """Return the means over the samples of all ranks, the same as one process has them.

    Args:
        found: scores of each of this rank's samples, see ``Ranks.share``.
        ranks: all of which call this.
    """
    means = Means()
    for scores in ranks.gather(found):
        means.add(scores)
    return means.take()


def describe_fault(means: Mapping[str, float], batch: ClipBatch, step: int) -> str | None:
    """Say which metrics are not finite, and of which clips; ``None`` if all are finite."""
    broken = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
    if not broken:
        return None
    return f"step {step}: {', '.join(broken)}; clips of this batch: {', '.join(batch.clip_ids)}"


def average_scores(scores: Mapping[str, float], ranks: Ranks) -> dict[str, float]:
    """Return the mean of each number over the ranks, so that all of them decide alike."""
    on_device = {name: torch.tensor(value, device=ranks.device) for name, value in scores.items()}
    return average(on_device, False, ranks)[0]


def format_values(values: Mapping[str, float]) -> str:
    """Return names and values for one line of the log."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
