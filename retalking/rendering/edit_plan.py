"""Which output frames are edited, how strongly, and which of them belong together in time.

``N`` counts the frames of the output, ``F`` those of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.rendering.timeline import Timeline
from retalking.types import BoolArray, FaceTrack, FloatArray, IntArray

_FADE_S = 0.16


@dataclass(frozen=True)
class EditPlan:
    """What happens to each output frame.

    Attributes:
        timeline: source frame and time of each output frame.
        opacity: float32 ``[N]``; 0 passes the source frame through, 1 shows the new face fully.
        run: int64 ``[N]``; frames of one run show consecutive moments of one shot with a face, so
            that values may be smoothed over them.
    """

    timeline: Timeline
    opacity: FloatArray
    run: IntArray

    def __len__(self) -> int:
        return len(self.timeline)


def make_edit_plan(timeline: Timeline, track: FaceTrack) -> EditPlan:
    """Plan the edit: frames without a face pass through, and the edit fades in and out beside them.

    At a cut or a jump it does not fade: nobody compares the frames on its two sides.

    Args:
        timeline: of the output.
        track: of the source, after the policy for missing faces was applied.
    """
    index = timeline.source_index
    active = track.detected[index]
    gaps_s = np.diff(timeline.time_s)
    step_s = float(np.median(gaps_s)) if len(gaps_s) else 1.0
    cuts = (np.abs(np.diff(index)) > 1) | (np.diff(track.shot_id[index]) != 0)
    scenes = np.split(active, np.flatnonzero(cuts) + 1)
    distance = np.concatenate([_distance_to_inactive(scene) for scene in scenes])
    opacity = np.minimum(distance / (round(_FADE_S / step_s) + 1), 1.0).astype(np.float32)
    broken = cuts | (active[1:] != active[:-1])
    run = np.concatenate([[0], np.cumsum(broken)]).astype(np.int64)
    return EditPlan(timeline, opacity, run)


def _distance_to_inactive(active: BoolArray) -> IntArray:
    """Frames to the nearest inactive one; more than any fade lasts where there is none."""
    positions = np.arange(len(active))
    holes = np.flatnonzero(~active)
    if len(holes) == 0:
        return np.full(len(active), np.iinfo(np.int64).max)
    after = np.searchsorted(holes, positions)
    to_next = np.abs(holes[np.minimum(after, len(holes) - 1)] - positions)
    to_previous = np.abs(positions - holes[np.maximum(after - 1, 0)])
    return np.minimum(to_next, to_previous).astype(np.int64)
