"""Speech and lips that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from retalking.types import Float64Array, FloatArray, IntArray

FARTHEST = 4.0
"""Standard deviations beyond which lips are landmarks gone astray."""


@dataclass(frozen=True)
class TalkPiece:
    """Part of a talk in one take.

    Attributes:
        heard: float32 ``[C, T]`` every 20 ms.
        steps: int64 ``[F]`` increasing, columns of it at each frame.
        lips: float64 ``[F, 5]`` in standard deviations of the speaker.
    """

    heard: FloatArray
    steps: IntArray
    lips: Float64Array
