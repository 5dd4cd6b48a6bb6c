"""Metrics whose states are sums: merging is addition, and the value a quotient of sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from retalking.errors import MediaError
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity, State

ScoreChunk = Callable[[ClipChunk], "list[float]"]


class SumsMetric:
    """Base of metrics that merge by addition."""

    quantities: tuple[Quantity, ...]
    needs: frozenset[Need]

    def merge(self, first: State, second: State) -> State:
        """Add the states."""
        return {name: np.add(first[name], second[name]) for name in first}


class MeanMetric(SumsMetric):
    """Base of metrics that are plain means, of frames or of clips."""

    def values(self, state: State) -> dict[str, float]:
        """Divide the sum of each quantity by the common count."""
        return {q.name: float(state[q.name] / state["count"]) for q in self.quantities}


def sums(**values: float) -> State:
    """Return a state of float64 numbers."""
    return {name: np.array(value, dtype=np.float64) for name, value in values.items()}


class FrameMetric(MeanMetric, ABC):
    """Base of metrics with one number per frame, whose value is the mean over all frames."""

    def __init__(self, quantity: Quantity) -> None:
        self.quantities = (quantity,)

    @abstractmethod
    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        """Return the numbers of a chunk's frames; frames that have none are left out."""

    def start(self, clip: Clip) -> FrameMeter:
        """Begin a clip."""
        return FrameMeter(self.quantities[0].name, clip, lambda chunk: self.score(clip, chunk))


class FrameMeter:
    """Adds up the numbers of a clip's frames."""

    def __init__(self, name: str, clip: Clip, score: ScoreChunk) -> None:
        self._name = name
        self._clip = clip
        self._score = score
        self._sum = 0.0
        self._count = 0

    def add(self, chunk: ClipChunk) -> None:
        """Take the next frames."""
        scores = self._score(chunk)
        self._sum += float(np.sum(scores, dtype=np.float64))
        self._count += len(scores)

    def finish(self) -> State:
        """Return sum and count.

        Raises:
            MediaError: the clip has no frame that can be measured.
        """
        if self._count == 0:
            raise MediaError(f"{self._clip.name}: no frame in which {self._name} can be measured")
        return sums(**{self._name: self._sum, "count": self._count})


class TrackMetric(MeanMetric, ABC):
    """Base of metrics that need no pixels, whose value is the mean over clips."""

    @abstractmethod
    def measure(self, clip: Clip) -> dict[str, float]:
        """Return the quantities of a clip.

        Raises:
            RetalkingError: they are not defined for it.
        """

    def start(self, clip: Clip) -> TrackMeter:
        """Begin a clip."""
        return TrackMeter(self.measure(clip))


class TrackMeter:
    """Holds the quantities of one clip; pixels pass by."""

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def add(self, chunk: ClipChunk) -> None:
        """Pass over the next frames."""

    def finish(self) -> State:
        """Return the quantities, counted once."""
        return sums(**self._values, count=1)
