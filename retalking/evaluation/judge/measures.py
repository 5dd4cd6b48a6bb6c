"""From lip shapes over time to figures: do the lips follow the new words, or the old ones."""

from __future__ import annotations

import numpy as np

from retalking.errors import FaceNotFoundError
from retalking.evaluation.judge.judges import Sight
from retalking.face.lip_motion import correlate, deviation_ratio, late_frames
from retalking.types import Float64Array

_CLOSED, _NEARLY_CLOSED = 0.006, 0.012
"""Openings in heights of the face: about 1 mm and 2 mm of an adult's."""
_LEAST_SEEN = 0.5
_LATEST_FRAMES = 3


def line_up(made: Sight, *others: Sight) -> list[Sight]:
    """Bring what was seen to the moments of the dub, in frames where every face was found.

    Raises:
        FaceNotFoundError: these are fewer than half of the frames.
    """
    sights = [made, *(other.at(made.time_s) for other in others)]
    seen = np.logical_and.reduce([sight.found for sight in sights])
    if seen.sum() < max(_LEAST_SEEN * len(seen), 2):
        raise FaceNotFoundError(f"the judge sees faces in {seen.sum()} of {len(seen)} frames")
    return [sight.rows(seen) for sight in sights]


def follow(made: Sight, new: Sight, name: str = "follow") -> dict[str, float]:
    """Correlate every shape of a dub with the lips that spoke the words: ``follow_SHAPE``."""
    return {
        f"{name}_{shape}": correlate(values, new.shapes[shape])
        for shape, values in made.shapes.items()
    }


def follow_and_leak(made: Sight, new: Sight, old: Sight, suffix: str = "") -> dict[str, float]:
    """Correlate a dub with the lips that spoke the words, and with the old ones.

    Args:
        made: the dub.
        new: the speaker of the words.
        old: the video that was dubbed.
        suffix: of the names.

    Returns:
        ``follow_SHAPE`` and ``leak_SHAPE``.
    """
    return follow(made, new, f"follow{suffix}") | follow(made, old, f"leak{suffix}")


def explain(made: Sight, new: Sight, old: Sight) -> dict[str, float]:
    """Measure what explains follow and leak.

    Returns:
        ``chance``: correlation of the openings of old and new lips, which a leak has for nothing;
        ``late``: frames by which the dub's opening comes late; ``spread_opening``: over that of the
        speaker of the words.
    """
    opening = made.shapes["opening"]
    return {
        "chance": correlate(old.shapes["opening"], new.shapes["opening"]),
        "late": float(late_frames(opening, new.shapes["opening"], _LATEST_FRAMES)),
        "spread_opening": spread(made, new, "opening"),
    }


def compare(made: Sight, true: Sight) -> dict[str, float]:
    """Compare a dub with the truth.

    Returns:
        ``r_SHAPE``, ``spread_opening``, ``spread_width``, and ``closures`` where lips close.
    """
    closures = closures_found(made.shapes["opening"], true.shapes["opening"])
    return {
        **follow(made, true, "r"),
        "spread_opening": spread(made, true, "opening"),
        "spread_width": spread(made, true, "width"),
        **({} if closures is None else {"closures": closures}),
    }


def spread(made: Sight, true: Sight, shape: str) -> float:
    """Standard deviation of a shape over the true one's."""
    return deviation_ratio(made.shapes[shape], true.shapes[shape])


def closures_found(made: Float64Array, true: Float64Array) -> float | None:
    """Share of the frames with closed lips in which the made ones ``[F]`` are (nearly) closed.

    Returns:
        0..1, or ``None`` for lips that never close.
    """
    closed = true < _CLOSED
    return float((made[closed] < _NEARLY_CLOSED).mean()) if closed.any() else None
