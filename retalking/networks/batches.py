"""Which rows of tensors make the next batch: every frame has its place by its number."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from retalking.types import IntArray


def next_batch(order: IntArray, done: int, size: int) -> tuple[IntArray, IntArray]:
    """Row for each place of a batch, and which places hold the next frames, in their order.

    Places without a frame hold copies of the first one.

    Args:
        order: int64 ``[T]``, numbers of the frames, increasing.
        done: how many of them have been in batches.
        size: of the batch.
    """
    left = order[done:]
    places = left[left // size == left[0] // size] % size
    rows = np.full(size, done, dtype=np.int64)
    rows[places] = done + np.arange(len(places))
    return rows, places


def take(part: Tensor, rows: IntArray) -> Tensor:
    """Rows of a tensor; without a copy where each follows the one before."""
    if (np.diff(rows) == 1).all():
        return part[rows[0] : rows[0] + len(rows)]
    return part[rows]
