"""What one looks for in the frames of a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from retalking.media.video import VideoReader

Job = Callable[..., np.ndarray]


def read_frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.concatenate([chunk.rgb for chunk in reader.read_chunks(8)])


def changed_rows(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    rows = np.flatnonzero((before != after).any(axis=(0, 2, 3)))
    return int(rows.min()), int(rows.max())
