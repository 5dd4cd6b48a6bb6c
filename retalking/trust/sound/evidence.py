"""Evidence of the sound's mark.

Where the pattern begins and how fast the sound plays are searched for. What a cell says is how much
louder it is than those around it in time and pitch, which does not know the key.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.trust.payload_code import PayloadCode, best_payload
from retalking.trust.sound.pattern import (
    HOP_S,
    HOPS_PER_SLOT,
    NUM_BANDS,
    NUM_SLOTS,
    band_of,
)
from retalking.types import AudioClip, Float64Array, FloatArray

WINDOW_S = 6.0
SHORTEST_S = 1.0
SPEEDS = (1.0, *(1 + step / 200 for step in (-1, 1, -2, 2, -3, 3, -4, 4)))
_STEPS = 4
"""Places within a slot at which it may begin."""
_NUM_SEARCHES = len(SPEEDS) * _STEPS * NUM_SLOTS
_ENOUGH_LOG10 = -9.0
"""Other speeds are not tried where one says this much."""
_SURROUNDINGS = np.array([[-1.0, 2, -1], [2, 0, 2], [-1, 2, -1]]) / 4
"""What a cell is expected to be, by its neighbours in time and pitch: no slope in either stays."""
_MOST_WINDOWS, _MOST_TOGETHER = 8, 4
_FLOOR_DB = 60.0  # below the loudest cell there is nothing to hear
_MOST = 2.0


@dataclass(frozen=True)
class SoundFinding:
    """What a detector found in a sound.

    Attributes:
        user: the user's bits of the payload that fits best.
        log10_p: log10 of the probability that something without this mark fits so well.
        windows_log10_p: the same of each stretch of the sound for itself.
    """

    user: int
    log10_p: float
    windows_log10_p: tuple[float, ...]


def weigh_sound(clip: AudioClip, code: PayloadCode) -> SoundFinding | None:
    """Weigh the evidence of a sound.

    Args:
        clip: mono.
        code: of ``sound_code``.

    Returns:
        ``None`` if it is too short or silent.
    """
    if clip.duration_s < SHORTEST_S or not np.abs(clip.samples).max() > 0:
        return None
    best: SoundFinding | None = None
    for speed in SPEEDS:
        found = weigh_at_speed(clip, speed, code)
        if best is None or found.log10_p < best.log10_p:
            best = found
        if best.log10_p < _ENOUGH_LOG10:
            break
    return best


def weigh_at_speed(clip: AudioClip, speed: float, code: PayloadCode) -> SoundFinding:
    """Look for the mark in sound that plays so many times as fast as it was marked.

    Its probability counts all of ``SPEEDS`` as tried.
    """
    samples, rate = clip.samples, float(clip.sample_rate_hz)
    if speed != 1:
        samples = soxr.resample(samples, rate, rate * speed)
    levels = _levels(samples, rate)
    values = [_cells(levels[step:]) for step in range(_STEPS)]
    num_slots = min(len(some) for some in values)
    windows = _split(num_slots)
    count = len(windows)
    found = [_search(values, window, code) for window in windows]
    user, log10_p = min(found, key=lambda each: each[1])
    tried = count
    if 1 < count <= _MOST_TOGETHER:
        whole = _search(values, slice(0, num_slots), code)
        user, log10_p = min((user, log10_p), whole, key=lambda each: each[1])
        tried += 1
    return SoundFinding(
        user, min(log10_p + float(np.log10(tried)), 0.0), tuple(each[1] for each in found)
    )


def _split(num_slots: int) -> list[slice]:
    """Stretches of the sound; of a long one, some that are spread over it."""
    length = round(WINDOW_S / (HOPS_PER_SLOT * HOP_S))
    count = max(-(-num_slots // length), 1)
    edges = np.linspace(0, num_slots, count + 1).astype(int).tolist()
    windows = [slice(a, b) for a, b in itertools.pairwise(edges)]
    return windows[:: -(-count // _MOST_WINDOWS)]


def _levels(samples: FloatArray, rate_hz: float) -> Float64Array:
    """Level of each band in dB, ``[F, 32]``, a quarter of a slot after the other."""
    size = round(2 * HOP_S * rate_hz)
    hop = HOPS_PER_SLOT * HOP_S * rate_hz / _STEPS
    starts = np.rint(np.arange(int(max(len(samples) - size, 0) / hop) + 1) * hop).astype(int)
    padded = np.pad(samples, (0, size))
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    band = band_of(size, rate_hz)
    sums = np.zeros((len(band), NUM_BANDS))
    sums[band >= 0, band[band >= 0]] = 1
    power = np.empty((len(starts), NUM_BANDS))
    for first in range(0, len(starts), 1024):
        rows = starts[first : first + 1024]
        spectra = np.fft.rfft(padded[rows[:, None] + np.arange(size)] * window, axis=1)
        power[first : first + 1024] = np.square(np.abs(spectra)) @ sums
    floor = max(float(power.max()), 1e-12) * 10 ** (-_FLOOR_DB / 10)
    levels: Float64Array = 10 * np.log10(power + floor)
    return levels


def _cells(levels: Float64Array) -> Float64Array:
    """How much louder each cell is than those around it, ``[S, 32]``, in units of its usual."""
    count = len(levels) // _STEPS
    slots = levels[: count * _STEPS].reshape(count, _STEPS, NUM_BANDS).mean(axis=1)
    excess = slots - cv2.filter2D(slots, -1, _SURROUNDINGS)
    usual = np.sqrt(cv2.GaussianBlur(excess**2, (0, 0), sigmaX=4, sigmaY=6)) + 0.5
    cells: Float64Array = np.clip(excess / usual, -_MOST, _MOST)
    return cells


def _search(values: list[Float64Array], window: slice, code: PayloadCode) -> tuple[int, float]:
    """Try all beginnings; the payload and log10 of its probability."""
    best = (0, 0.0)
    for some in values:
        cells = some[window]
        folded = np.zeros((NUM_SLOTS, NUM_BANDS))
        np.add.at(folded, np.arange(len(cells)) % NUM_SLOTS, cells)
        power = float(np.square(cells).sum()) + 1e-12
        for turn in range(NUM_SLOTS):
            scores = code.scores(np.roll(folded, turn, axis=0).ravel())
            found = best_payload(np.maximum(scores, 0) ** 2 / power, 1, _NUM_SEARCHES)
            best = min(best, found, key=lambda each: each[1])
    return best
