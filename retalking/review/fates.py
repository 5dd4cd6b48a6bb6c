"""Which frames of the output were edited, which were not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from retalking.rendering.edit_plan import EditPlan
from retalking.types import BoolArray, FaceTrack, describe_frames

Fate = Literal["edited", "fading", "no face", "turned away"]
FATES: tuple[Fate, ...] = get_args(Fate)
"""``edited``: shows the new mouth; ``fading``: in part, beside a frame that does not; ``no face``:
none was found, or not the wanted one; ``turned away``: by more than ``--max-yaw-deg``."""


@dataclass(frozen=True)
class Fates:
    """What happened to each frame of the output.

    Attributes:
        fates: one of ``FATES`` for each frame.
    """

    fates: tuple[Fate, ...]

    @classmethod
    def of(cls, plan: EditPlan, track: FaceTrack) -> Fates:
        """Read them from the plan and the track of the source."""
        index = plan.timeline.source_index
        seen = track.confidence[index] > 0
        return cls(
            tuple(
                ("edited" if opacity >= 1 else "fading")
                if opacity > 0
                else ("turned away" if known else "no face")
                for opacity, known in zip(plan.opacity.tolist(), seen.tolist(), strict=True)
            )
        )

    def __len__(self) -> int:
        return len(self.fates)

    def are(self, fate: Fate) -> BoolArray:
        """Which frames met a fate, bool ``[N]``."""
        return np.array([each == fate for each in self.fates], np.bool_)

    def counts(self) -> dict[str, int]:
        """Return how many frames met each fate that occurs."""
        return {fate: self.fates.count(fate) for fate in FATES if fate in self.fates}

    def ranges(self) -> dict[str, str]:
        """Return which frames met each fate that occurs, such as ``3-7, 12``."""
        return {fate: describe_frames(self.are(fate)) for fate in FATES if fate in self.fates}
