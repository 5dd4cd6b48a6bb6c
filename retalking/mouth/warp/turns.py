"""What the turn of the head does to landmarks, which is an error of theirs: ``N`` counts frames."""

from __future__ import annotations

import numpy as np

from retalking.mouth.warp.lip_measures import OPENING
from retalking.types import Float64Array

TYPICAL_TURN: Float64Array = np.repeat([0.15, 0.15**2], 2)
"""Deviation of ``turn_terms``, in radians and their squares."""
_TRUST_FRAMES = 30.0  # of typical turns, that it counts for that a turn changes no lips


def turn_terms(angles: Float64Array, mean: Float64Array) -> Float64Array:
    """Pitch and yaw about their mean, and their squares: ``[N, 4]``."""
    turn = angles[:, :2] - mean
    return np.concatenate([turn, turn**2], axis=1)


def level_lips(lips: Float64Array, angles: Float64Array) -> Float64Array:
    """Take from lip measures what goes with the turn of the head.

    Depth is guessed, so a head that turns seems to change the width of its mouth and the length
    of its jaw. Lips that were told so would bring the old head's turns into the new lips. Few
    turns say little and change little. The gap of the lips stays as it is: closed is closed.

    Args:
        lips: measures ``[N, 5]`` of one person in one video.
        angles: ``[N, 3]`` pitch, yaw and roll in radians.

    Returns:
        ``[N, 5]``.
    """
    terms = turn_terms(angles, angles[:, :2].mean(axis=0))
    terms -= terms.mean(axis=0)
    power = terms.T @ terms + np.diag(_TRUST_FRAMES * TYPICAL_TURN**2)
    slopes = np.linalg.solve(power, terms.T @ (lips - lips.mean(axis=0)))
    slopes[:, OPENING] = 0
    return lips - terms @ slopes
