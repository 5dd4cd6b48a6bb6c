"""Do made lips move with the true ones, and because of the speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retalking.face.lip_motion import correlate, deviation_ratio

Openings = NDArray[np.floating]
"""How far lips are open in each frame of a clip ``[F]``, see ``ibug68.lip_opening``."""


def lip_agreement(
    made: Sequence[Openings], shifted: Sequence[Openings], true: Sequence[Openings]
) -> dict[str, float]:
    """Compare the lips of clips, one item per clip.

    The visible upper half of a face leaks some lip motion; what counts is how much worse the lips
    move with the speech of another part of the clip.

    Args:
        made: with the right speech.
        shifted: with that of half a clip later.
        true: what was filmed.

    Returns:
        ``lip_correlation`` and ``lip_correlation_shifted`` with the truth, their difference
        ``lip_gain``, and ``lip_deviation``, the made deviation over the true one; means over clips.
    """
    right = float(np.mean([correlate(*pair) for pair in zip(made, true, strict=True)]))
    wrong = float(np.mean([correlate(*pair) for pair in zip(shifted, true, strict=True)]))
    spread = float(np.mean([deviation_ratio(*pair) for pair in zip(made, true, strict=True)]))
    return {
        "lip_correlation": right,
        "lip_correlation_shifted": wrong,
        "lip_gain": right - wrong,
        "lip_deviation": spread,
    }
