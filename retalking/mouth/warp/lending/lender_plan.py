"""Which frame of the video lends its mouth to each output frame.

A mouth should be seen from the same side, have nearly the wanted shape, and come from a frame that
follows the one before: lending on from where one is costs nothing, a jump costs a little and is
cross-faded. The best choice over a whole run is found by dynamic programming. ``N`` counts output
frames, ``K`` candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.types import Float64Array, FloatArray, IntArray

JUMP = 0.05
FADE = (0.65, 0.3)  # share of the former mouth in the first and second frame after a jump


@dataclass(frozen=True)
class LenderPlan:
    """Lenders of every output frame.

    Attributes:
        lender: int64 ``[N]``, frame of the source; -1 where nothing is edited.
        former: int64 ``[N]``, the mouth that is fading out.
        former_share: float32 ``[N]``, how much of it is left; 0 for none.
    """

    lender: IntArray
    former: IntArray
    former_share: FloatArray


def choose_lenders(
    costs: Iterable[Float64Array], frames: IntArray, jump: float = JUMP, before: int | None = None
) -> IntArray:
    """Find the cheapest sequence of candidates.

    Args:
        costs: for each of ``N`` output frames, ``[K]`` of each candidate.
        frames: int64 ``[K]``, frames of the source, increasing.
        jump: price of changing to a frame that is neither the same nor a neighbour.
        before: frame that lent to the output frame before these, if there was one.

    Returns:
        int64 ``[N]``, indices of candidates.
    """
    count = len(frames)
    itself = np.arange(count)
    follows = np.flatnonzero(np.diff(frames) == 1) + 1  # candidates that follow the one before
    remaining = iter(costs)
    best = next(remaining).copy()
    if before is not None:
        best += jump * (np.abs(frames - before) > 1)
    steps = scratch.Rows((count,), np.uint16)
    for cost in remaining:
        cheapest = int(best.argmin())
        source, price = itself.copy(), best.copy()
        for target, origin in ((follows, follows - 1), (follows - 1, follows)):
            better = best[origin] < price[target]
            price[target[better]], source[target[better]] = best[origin[better]], origin[better]
        jumps = best[cheapest] + jump < price
        price[jumps], source[jumps] = best[cheapest] + jump, cheapest
        steps.add(source)
        best = price + cost
    came_from = steps.array()
    chosen = np.empty(len(came_from) + 1, dtype=np.int64)
    chosen[-1] = best.argmin()
    for step in range(len(came_from) - 1, -1, -1):
        chosen[step] = came_from[step, chosen[step + 1]]
        if step % scratch.BLOCK_FRAMES == 0:
            scratch.let_go()
    return chosen


def fade_jumps(lender: IntArray, run: IntArray) -> LenderPlan:
    """Let the former mouth fade out after every jump within a run."""
    former = lender.copy()
    share = np.zeros(len(lender), dtype=np.float32)
    jumped = (np.abs(np.diff(lender)) > 1) & (np.diff(run) == 0)
    for later, left in reversed(tuple(enumerate(FADE))):
        at = np.flatnonzero(jumped) + 1 + later
        at = at[at < len(lender)]
        at = at[run[at] == run[at - later]]
        former[at], share[at] = lender[at - later - 1], left
    return LenderPlan(lender, former, share)
