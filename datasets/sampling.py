"""Which clip and which frames a numbered draw gets.

Everything random about a sample comes from one generator made from (seed, draw number), so that
workers, ranks and resuming do not change the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from datasets.store.reader import ClipFilter, Store, StoredClip
from retalking.errors import ConfigError
from retalking.types import FloatArray, IntArray


class DrawnWindow(NamedTuple):
    """A clip, a position in it, and the random numbers for the rest of the sample.

    Attributes:
        clip: opened.
        row: of the clip in the index.
        num_frames: of the clip.
        start: first frame of the window.
        rng: further random numbers.
    """

    clip: StoredClip
    row: int
    num_frames: int
    start: int
    rng: np.random.Generator


class WindowSampler:
    """Draws windows of consecutive frames: first a split, then a window of it with equal chance."""

    def __init__(
        self,
        store: Store,
        shares: Mapping[str, float],
        needs: ClipFilter,
        window: int,
        seed: int,
    ) -> None:
        """Look up the usable clips.

        Args:
            store: to draw from.
            shares: how often windows come from each split, in any unit.
            needs: of the clips; its splits are replaced by those of ``shares``.
            window: consecutive frames per sample.
            seed: of all draws.

        Raises:
            ConfigError: no share is above 0, or a split has no usable clip.
        """
        positive = {split: share for split, share in shares.items() if share > 0}
        if not positive or min(shares.values()) < 0:
            raise ConfigError(f"splits: got shares {dict(shares)}, expected some above 0")
        self._store = store
        self._window = window
        self._seed = seed
        self._split_ends = np.cumsum(list(positive.values())) / sum(positive.values())
        self._rows: list[IntArray] = []
        self._window_ends: list[IntArray] = []
        least = max(window, needs.min_frames)
        for split in positive:
            rows = store.select(replace(needs, splits=(split,), min_frames=least))
            frames = store.index["num_frames"][rows].astype(np.int64)
            self._rows.append(rows)
            self._window_ends.append(np.cumsum(frames - window + 1))

    @property
    def rows(self) -> IntArray:
        """Index rows of all clips that are drawn from."""
        return np.concatenate(self._rows)

    @property
    def num_windows(self) -> int:
        """Number of different windows."""
        return int(sum(ends[-1] for ends in self._window_ends))

    def __call__(self, draw: int) -> DrawnWindow:
        """Return the draw of that number."""
        rng = np.random.default_rng((self._seed, draw))
        split = min(
            int(np.searchsorted(self._split_ends, rng.random(), "right")), len(self._rows) - 1
        )
        ends = self._window_ends[split]
        window = int(rng.integers(ends[-1]))
        place = int(np.searchsorted(ends, window, "right"))
        row = int(self._rows[split][place])
        num_frames = int(self._store.index["num_frames"][row])
        start = window - int(ends[place]) + num_frames - self._window + 1
        return DrawnWindow(self._store.clip(row), row, num_frames, start, rng)


def draw_other_starts(draw: DrawnWindow, window: int, count: int, min_gap: int = 0) -> IntArray:
    """Draw starts of other windows of the same clip.

    Args:
        draw: the sample; its random numbers are used.
        window: frames of a window.
        count: how many starts, with repetition.
        min_gap: frames between the windows; a clip too short for it gives what lies furthest.

    Returns:
        int64 ``[count]``.
    """
    starts = np.arange(draw.num_frames - window + 1)
    distance = np.abs(starts - draw.start)
    free = starts[distance >= min(window + min_gap, int(distance.max()))]
    return free[draw.rng.integers(len(free), size=count)]


def nearest_in_pose(pose: FloatArray, start: int, others: IntArray, window: int) -> int:
    """Return which of the windows shows the head most like the window at ``start``.

    Args:
        pose: ``[F, P]`` of the clip.
        start: first frame of the sample.
        others: first frames ``[N]`` of the candidates.
        window: frames of a window.
    """
    steps = np.arange(window)
    wanted = pose[start + steps]
    differences = np.abs(pose[others[:, None] + steps] - wanted).mean(axis=(1, 2))
    return int(others[differences.argmin()])
