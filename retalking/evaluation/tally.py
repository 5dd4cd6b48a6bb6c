"""What one metric has found so far about one method: a merged state, and figures per clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retalking.errors import ConfigError
from retalking.files import replacing
from retalking.metrics.metric import Metric, State

_STATE = "state."


@dataclass
class Tally:
    """Running result of a metric over the pairs of a method.

    Attributes:
        stamps: what the result of each measured pair looked like on the disk, by the pair's number.
        values: the quantities of each measured clip, by the pair's number; NaN where a single clip
            has none.
        state: of all measured clips together, or ``None`` before the first.
    """

    stamps: dict[int, str] = field(default_factory=dict)
    values: dict[int, tuple[float, ...]] = field(default_factory=dict)
    state: State | None = None

    def add(self, number: int, stamp: str, metric: Metric, state: State) -> None:
        """Count a clip that is not in yet."""
        alone = metric.values(state) if any(q.per_clip for q in metric.quantities) else {}
        self.values[number] = tuple(
            alone[quantity.name] if quantity.per_clip else float("nan")
            for quantity in metric.quantities
        )
        self.stamps[number] = stamp
        self.state = state if self.state is None else metric.merge(self.state, state)

    def total(self, metric: Metric) -> dict[str, float]:
        """Return the quantities over all clips; nothing before the first."""
        return {} if self.state is None else metric.values(self.state)

    def join(self, other: Tally, metric: Metric, where: Path) -> None:
        """Take in the clips of another shard.

        Raises:
            ConfigError: a pair is in both.
        """
        twice = sorted(self.stamps.keys() & other.stamps.keys())
        if twice:
            raise ConfigError(f"{where}: pair {twice[0]} was also measured in an earlier folder")
        self.stamps |= other.stamps
        self.values |= other.values
        if self.state is None or other.state is None:
            self.state = other.state if self.state is None else self.state
        else:
            self.state = metric.merge(self.state, other.state)

    def save(self, path: Path) -> None:
        """Write a file that ``load`` reads.

        Raises:
            MediaError: it cannot be written.
        """
        state = {f"{_STATE}{name}": array for name, array in (self.state or {}).items()}
        numbers = np.array(sorted(self.stamps), dtype=np.int64)
        with replacing(path) as partial:
            np.savez(
                partial,
                numbers=numbers,
                stamps=np.array([self.stamps[n] for n in numbers.tolist()], dtype=np.str_),
                values=np.array([self.values[n] for n in numbers.tolist()], dtype=np.float64),
                **state,  # type: ignore[arg-type]
            )

    @classmethod
    def load(cls, path: Path) -> Tally:
        """Read a file of ``save``; a new tally where there is none.

        Raises:
            ConfigError: the file is damaged.
        """
        if not path.is_file():
            return cls()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                numbers = arrays["numbers"].tolist()
                stamps = dict(zip(numbers, arrays["stamps"].tolist(), strict=True))
                values = dict(zip(numbers, map(tuple, arrays["values"].tolist()), strict=True))
                state: Mapping[str, np.ndarray] = {
                    name.removeprefix(_STATE): arrays[name]
                    for name in arrays.files
                    if name.startswith(_STATE)
                }
        except Exception as error:  # numpy and zipfile raise errors of every kind on damaged files
            raise ConfigError(f"{path}: damaged ({error}); delete it to measure again") from None
        return cls(stamps, values, dict(state) or None)


def stamp_of(path: Path) -> str:
    """Return what changes when a file is written anew: its size and time."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
