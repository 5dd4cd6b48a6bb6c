"""From what is seen and heard to figures: does the new mouth say the words, or the old ones.

``N`` counts the frames of the result.
"""

from __future__ import annotations

import numpy as np

from retalking.face.lip_motion import correlate, late_frames, share_open
from retalking.metrics.lip_sync.sync import FRAME_RATE
from retalking.review.sight import Sight
from retalking.speech.lip_shapes import SHAPE_NAMES, LipShapes
from retalking.types import BoolArray, Float64Array

LATEST_S = 0.5
"""Lips earlier or later than this are not looked for."""
_FEWEST_FRAMES = 13
"""Half a second at 25 frames per second; figures of less are chance."""
_AS_THEY_ARE = ("flicker", "flicker_ratio", "seam")
_OPENING = SHAPE_NAMES.index("opening")
_FOLLOWS = 0.5
"""Correlation with what is heard from which it can be said whether lips are late."""
_LEAST_MOTION = 0.004
"""Deviation of the opening, in distances of the eyes, that landmarks of a still mouth have."""
_PAUSE_S = 0.2
"""Frames nearer to speech than this still close or open; so much of the rest is worth a figure."""
_SURE_EXPERT = 0.02
"""Confidence below which the expert's offset is chance (clips with frozen mouths: 0.008, 0.013)."""


def measure(
    sight: Sight, heard: LipShapes, edited: BoolArray, frame_rate: float
) -> dict[str, float]:
    """Return the figures that are defined for a result, by the name of their ``Rule``.

    Args:
        sight: what is seen.
        heard: lips that the speech asks for, at each frame.
        edited: bool ``[N]``, frames that show the new mouth at all.
        frame_rate: of the result.
    """
    figures = {"edited": float(edited.mean()), "sharpness": sight.sharpness}
    figures |= {name: sight.values[name] for name in _AS_THEY_ARE if name in sight.values}
    if edited.any():
        figures["hidden"] = float(sight.hidden[edited].mean())
    if "expert_lse_c" in sight.values:
        figures["confidence"] = sight.values["expert_lse_c"]
        if figures["confidence"] >= _SURE_EXPERT:
            figures["expert_late_ms"] = 1000 / FRAME_RATE * sight.values["expert_av_offset"]
    seen, speaking = sight.found, heard.speaking > 0.5
    if (seen & speaking).sum() >= _FEWEST_FRAMES:
        figures |= _compare_lips(sight, heard, seen & speaking, frame_rate)
    pause = seen & _inside_pauses(speaking, round(_PAUSE_S * frame_rate))
    moving = sight.made.opening[seen & speaking]
    if (
        pause.sum() >= _PAUSE_S * frame_rate
        and moving.size >= _FEWEST_FRAMES
        and moving.std() > _LEAST_MOTION
    ):
        figures["open_in_silence"] = share_open(sight.made.opening[pause], moving)
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _compare_lips(
    sight: Sight, heard: LipShapes, rows: BoolArray, frame_rate: float
) -> dict[str, float]:
    made, old = sight.made.opening[rows], sight.old.opening[rows]
    words = heard.values[rows, _OPENING].astype(np.float64)
    late = late_frames(made, words, round(LATEST_S * frame_rate))
    ahead, behind = max(late, 0), max(-late, 0)
    best = correlate(made[ahead : len(made) - behind], words[behind : len(words) - ahead])
    moved = {"motion": float(made.std()), "follow": best}
    if made.std() > _LEAST_MOTION and best > _FOLLOWS:
        moved["late_ms"] = 1000 * late / frame_rate
    return {**moved, "leak": semipartial_correlation(made, old, words)}


def semipartial_correlation(a: Float64Array, b: Float64Array, given: Float64Array) -> float:
    """Correlation of a curve ``[F]`` with the part of ``b`` that ``given`` does not explain.

    Its square is the share of the movement of ``a`` that only ``b`` accounts for, so that what
    little is left beside lips that follow well does not count as much as lips that do not. 0 if one
    is still, or if ``given`` explains all of ``b``.
    """
    ab, ac, bc = correlate(a, b), correlate(a, given), correlate(b, given)
    rest = 1 - bc * bc
    return (ab - ac * bc) / float(np.sqrt(rest)) if rest > 1e-6 else 0.0


def _inside_pauses(speaking: BoolArray, margin: int) -> BoolArray:
    """Frames of pauses that are not within ``margin`` frames of speech: bool ``[N]``."""
    from scipy.ndimage import maximum_filter1d  # noqa: PLC0415 - takes long to import

    near = maximum_filter1d(speaking.astype(np.uint8), 2 * margin + 1, mode="constant")
    return np.asarray(near == 0, np.bool_)
