"""A long output in parts that are made apart, and end where nobody looks for a seam."""

from __future__ import annotations

import numpy as np

from retalking.rendering.edit_plan import EditPlan
from retalking.types import FloatArray

Part = tuple[int, int]
"""First frame of the output, and the one after the last."""
_SHORTEST = 0.5
"""A part may end this early, in lengths of a part, to end well."""


def split_plan(plan: EditPlan, loudness: FloatArray, part_s: float) -> tuple[Part, ...]:
    """Cut an output into parts.

    A part ends at the last shot cut, or other break of a run, in the second half of the time that
    it may take, or else at the quietest moment of it. Where parts end changes no pixel.

    Args:
        plan: of the output, ``N`` frames.
        loudness: float32 ``[N]``, of the speech at each frame, in any unit.
        part_s: the longest that a part may last.

    Returns:
        The parts in order; a single one if the output is no longer than that.
    """
    time_s = plan.timeline.time_s
    breaks = np.flatnonzero(np.diff(plan.run)) + 1
    parts: list[Part] = []
    first = 0
    while True:
        latest = int(np.searchsorted(time_s, time_s[first] + part_s, side="right")) - 1
        latest = max(latest, first + 1)
        if latest >= len(plan) or plan.timeline.duration_s - time_s[first] <= part_s:
            return (*parts, (first, len(plan)))
        earliest = first + max(1, round(_SHORTEST * (latest - first)))
        inside = breaks[(breaks >= earliest) & (breaks <= latest)]
        if len(inside):
            end = int(inside[-1])
        else:
            quiet = loudness[earliest : latest + 1]
            end = latest - int(quiet[::-1].argmin())
        parts.append((first, end))
        first = end
