"""How loud the speech in a sound is, whatever lies between its words."""

from __future__ import annotations

import numpy as np

from retalking.types import AudioClip, Float64Array

BLOCK_S = 0.0125  # one mel column
_NOTHING_DB = -115.0
"""Digital silence."""
_BELOW_MEAN_DB = 10.0
"""Blocks this far below the mean of all are not counted, as in ITU-R BS.1770."""
_FAINT_DB, _STEADY_DB = -45.0, 4.0
"""A sound below the first that hardly ever sinks by the second is the noise of a room."""


def block_levels(clip: AudioClip, num_blocks: int) -> Float64Array:
    """Level of each 12.5 ms in dBFS, float64 ``[num_blocks]``; -120 is the lowest."""
    block = round(BLOCK_S * clip.sample_rate_hz)
    levels = np.full(num_blocks, -120.0)
    samples = clip.samples[: num_blocks * block]
    whole = len(samples) // block
    blocks = samples[: whole * block].reshape(whole, block)
    power = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64) / block
    rest = samples[whole * block :].astype(np.float64)
    if len(rest):
        power = np.append(power, np.vdot(rest, rest) / block)
    levels[: len(power)] = 10 * np.log10(power + 1e-12)
    return levels


def speech_level(levels_db: Float64Array) -> float | None:
    """Mean level of the blocks that carry speech, in dBFS; ``None`` where none do.

    The speech of half the recordings used in training lies between -23 and -16 dBFS.

    Args:
        levels_db: of ``block_levels``.
    """
    heard = levels_db[levels_db > _NOTHING_DB]
    if len(heard) == 0:
        return None
    level_db = _mean_db(heard)
    for _ in range(3):  # long pauses draw the first mean down
        level_db = _mean_db(heard[heard > level_db - _BELOW_MEAN_DB])
    if level_db < _FAINT_DB and level_db - np.percentile(levels_db, 10) < _STEADY_DB:
        return None
    return level_db


def _mean_db(levels_db: Float64Array) -> float:
    return float(10 * np.log10(np.mean(10 ** (levels_db / 10))))
