"""How far a run has come, what it measured since the last log line, and how fast it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import torch

from retalking.errors import ConfigError, RetalkingError

Item = TypeVar("Item")


class Means:
    """Running means of named numbers."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Count one more set of values; the names must stay the same until ``take``."""
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in values.items()}
        self._count += 1

    def take(self) -> dict[str, float]:
        """Return the means and start anew."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return what resume restores."""
        return {"sums": self._sums, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the sums."""
        self._sums, self._count = state["sums"], state["count"]


class Progress:
    """How far a run has come.

    Args:
        num_steps: where it ends.

    Attributes:
        step: number of updates done.
        best: best value of the chosen validation metric so far, or ``None``.
        stale: validations since then.
        means: training metrics since the last log line.
        left_out: steps whose batch is not trained on, since it was not finite before.
    """

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self.step = 0
        self.best: float | None = None
        self.stale = 0
        self.means = Means()
        self.left_out: set[int] = set()

    def __str__(self) -> str:
        return f"step {self.step}/{self._num_steps}"

    def improves(
        self, scores: Mapping[str, float], metric: str, best_is: Literal["lowest", "highest"]
    ) -> bool:
        """Tell whether a validation beats all before it, and remember it if so.

        Raises:
            ConfigError: there is no such metric.
        """
        if metric not in scores:
            raise ConfigError(
                f"loop.best_metric: got {metric!r}, expected one of the validation metrics "
                f"{', '.join(sorted(scores))}"
            )
        value = scores[metric]
        sign = 1 if best_is == "lowest" else -1
        if math.isnan(value) or (self.best is not None and sign * value >= sign * self.best):
            self.stale += 1
            return False
        self.best, self.stale = value, 0
        return True

    def ended(self, patience: int | None) -> bool:
        """Tell whether all updates are done, or ``patience`` validations were no better."""
        weary = patience is not None and self.stale >= patience
        return weary or self.step >= self._num_steps

    def state_dict(self) -> dict[str, Any]:
        """Return what resume restores."""
        return {
            "step": self.step,
            "best": self.best,
            "stale": self.stale,
            "means": self.means.state_dict(),
            "left_out": sorted(self.left_out),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the position."""
        self.step, self.best = state["step"], state["best"]
        self.stale = state.get("stale", 0)  # absent in states of older versions
        self.means.load_state_dict(state["means"])
        self.left_out = set(state.get("left_out", ()))  # absent in states of older versions


class Clock:
    """Measures the time per update and the share of it spent waiting for data."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()
        self._waiting_s = 0.0
        self._num_items = 0

    def next_of(self, items: Iterator[Item]) -> Item:
        """Return the next item, counting the time that takes."""
        start_s = time.perf_counter()
        try:
            item = next(items)
        except StopIteration:
            raise RetalkingError("the training data ended, but it must be endless") from None
        self._waiting_s += time.perf_counter() - start_s
        self._num_items += 1
        return item

    def take(self) -> dict[str, float]:
        """Return seconds per update and the share of waiting since the last call.

        Where there is a GPU, ``gpu_peak_gb`` too: the most that tensors have taken of it so far.
        """
        elapsed_s = time.perf_counter() - self._start_s
        speed = {
            "seconds_per_step": elapsed_s / max(self._num_items, 1),
            "waiting_share": self._waiting_s / elapsed_s,
        }
        if torch.cuda.is_available():
            speed["gpu_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        self._start_s += elapsed_s
        self._waiting_s, self._num_items = 0.0, 0
        return speed
