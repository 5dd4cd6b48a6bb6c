"""Read whole videos, forward and in a given order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retalking.media.video import VideoReader


def read_all(path: Path, chunk_size: int = 7) -> tuple[np.ndarray, np.ndarray]:
    with VideoReader(path) as reader:
        chunks = list(reader.read_chunks(chunk_size))
    assert [c.start for c in chunks] == list(np.cumsum([0, *map(len, chunks)])[:-1])
    return np.concatenate([c.rgb for c in chunks]), np.concatenate([c.pts for c in chunks])


def read_order(path: Path, order: Sequence[int], pts: np.ndarray, chunk_size: int) -> np.ndarray:
    with VideoReader(path) as reader:
        chunks = list(reader.read_frames(order, pts, chunk_size))
    assert [c.start for c in chunks] == list(range(0, len(order), chunk_size))
    np.testing.assert_array_equal(np.concatenate([c.pts for c in chunks]), pts[list(order)])
    return np.concatenate([c.rgb for c in chunks])


def error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got.astype(int) - expected.astype(int)).mean())
