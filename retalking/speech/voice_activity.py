"""Where somebody speaks: in silence and in music the mouth rests.

Within speech, lips move in its pauses too, and what they do there is told by what was said; so only
what is silent for long, or wholly, counts as silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from models.speech.voice_activity import BLOCK_SAMPLES, CONTEXT_SAMPLES, VoiceActivityNet
from retalking.arrays import scratch
from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.speech.windows import STEP_S, STEP_SAMPLES, check_speech, num_steps
from retalking.types import AudioClip, BoolArray, Float64Array, FloatArray, IntArray

_MEMORY_S = 5.0
"""How long the loudest sound counts as the level of the voice."""
MEMORY_BLOCKS = round(_MEMORY_S * SAMPLE_RATE_HZ / BLOCK_SAMPLES)
_LOUD, _FAINTEST = 0.2, 1e-3
"""Level to which the network hears the loudest blocks raised, and the least that is raised so."""


@dataclass(frozen=True)
class _Silence:
    """A kind of silence.

    Attributes:
        below_db: level under the loudest sound.
        probability: of speech, at most.
        least_steps: it lasts so long at least.
    """

    below_db: float
    probability: float
    least_steps: int


_SILENCES = (
    _Silence(-50.0, 1.0, 12),  # nothing at all: lips need not wait
    _Silence(-30.0, 0.5, 50),  # a room
    _Silence(1.0, 0.1, 75),  # breath, noise, music
)
_DOUBT, _LONGEST_DOUBT_STEPS = 0.9, 20
"""The network goes on hearing a voice that has ended, less and less, into noise or music. Where
nothing at all is heard, as after the end of the track, the level tells when that begins: a doubt
before it is a pause within speech."""
_AHEAD_STEPS = 5
"""Lips open about 0.1 s before a voice is heard."""
STEPS_AHEAD = _AHEAD_STEPS + 1
LOOK_AHEAD_S = 0.17
"""These steps, one more that smooths, and the block of 32 ms after the one of a step."""
_SOFT = np.array([0.25, 0.5, 0.25])


def hear_voice(clip: AudioClip, network: VoiceActivityNet, live: bool = False) -> FloatArray:
    """Say when the lips are busy with speech.

    How loud the track is does not matter. Silence closes lips from its beginning on, within 0.1 s,
    if it lasts for a second (a quarter if it is digital); noise and music within 0.15 s if they
    last for 1.5 s.

    Args:
        clip: at 16 kHz.
        network: hears it.
        live: look no further ahead than ``LOOK_AHEAD_S``; then lips close when silence has lasted
            that long.

    Returns:
        float32 ``[T]`` in [0, 1] on the 20 ms grid, 1 where somebody speaks.

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
    """
    check_speech(clip)
    probability = _probability(clip.samples, network)
    steps = np.arange(num_steps(clip))
    powers = np.empty(len(steps))
    for part in scratch.blocks(len(steps)):
        spans = [step_span(step) for step in range(part.start, part.stop)]
        powers[part] = [step_power(clip.samples[begin:end]) for begin, end in spans]
    return tell_speech(steps, probability, powers, live)


def tell_speech(
    steps: IntArray,
    probability: FloatArray,
    powers: Float64Array,
    live: bool,
    first_block: int = 0,
) -> FloatArray:
    """Say when the lips are busy, from what was heard.

    Args:
        steps: int64 ``[T]``, consecutive steps of the grid.
        probability: ``[B]`` of speech in blocks of 32 ms.
        powers: float64 ``[T]``, see ``step_power``.
        live: see ``hear_voice``.
        first_block: number of the first of these blocks.

    Returns:
        float32 ``[T]``. Of the last ``STEPS_AHEAD`` what follows may change it; and of the first,
        what came before.
    """
    # A block is answered when it has been heard: its answer is about its middle.
    centres_s = block_centre_s(first_block + np.arange(len(probability)))
    probability = np.interp(steps * STEP_S, centres_s, probability).astype(np.float64)
    level_db = _level_below_loudest(powers)
    silent = np.zeros(len(steps), np.bool_)
    for kind in _SILENCES:
        quiet = (level_db <= kind.below_db) & (probability <= kind.probability)
        ahead = _AHEAD_STEPS if live else kind.least_steps
        lasting = _lasting(quiet, kind.least_steps, ahead)
        if kind.probability < 1 and not live:
            lasting = _begun_earlier(lasting, probability < _DOUBT)
        silent |= lasting
    speaking = np.pad(~silent, (0, _AHEAD_STEPS), mode="edge")
    busy = np.lib.stride_tricks.sliding_window_view(speaking, _AHEAD_STEPS + 1).any(axis=1)
    smooth = np.convolve(np.pad(busy.astype(np.float64), 1, mode="edge"), _SOFT, mode="valid")
    return smooth.astype(np.float32)


@torch.inference_mode()
def _probability(samples: FloatArray, network: VoiceActivityNet) -> FloatArray:
    count = -(-len(samples) // BLOCK_SAMPLES)
    levels = np.empty(count, np.float32)
    for part in scratch.blocks(count):
        levels[part] = np.sqrt(np.square(_blocks(samples, part)).mean(axis=1))
    loudest = _loudest_before(levels, MEMORY_BLOCKS)
    state, found = None, np.empty(count, np.float32)
    for part in scratch.blocks(count):
        raised = raise_blocks(_blocks(samples, part), loudest[part])
        probability, state = network(torch.from_numpy(raised), state)
        found[part] = probability.numpy()
    return found


def raise_blocks(blocks: FloatArray, loudest: Float64Array | FloatArray) -> FloatArray:
    """Bring blocks ``[S, 576]`` to the level that the network knows.

    Args:
        blocks: with their context.
        loudest: ``[S]``, the greatest level (root mean square) of each and the ``MEMORY_BLOCKS``
            before it.
    """
    gains = (_LOUD / np.maximum(loudest, _FAINTEST)).astype(np.float32)
    raised: FloatArray = np.clip(blocks * gains[:, None], -1, 1)
    return raised


def _blocks(samples: FloatArray, part: slice) -> FloatArray:
    """Cut some blocks with their context ``[S, 576]``, silent beyond the track."""
    begin, end = part.start * BLOCK_SAMPLES - CONTEXT_SAMPLES, part.stop * BLOCK_SAMPLES
    heard = np.pad(samples[max(begin, 0) : end], (max(-begin, 0), max(end - len(samples), 0)))
    size = CONTEXT_SAMPLES + BLOCK_SAMPLES
    blocks: FloatArray = np.lib.stride_tricks.sliding_window_view(heard, size)[::BLOCK_SAMPLES]
    return blocks


def step_span(step: int) -> tuple[int, int]:
    """Return the samples that say how loud a step is: its own and half of those before."""
    return max(step * STEP_SAMPLES - STEP_SAMPLES // 2, 0), (step + 1) * STEP_SAMPLES


def step_power(heard: FloatArray) -> float:
    """Return the mean power of the samples of ``step_span``."""
    return float(np.square(heard).mean())


def block_centre_s(blocks: ArrayLike) -> Float64Array:
    """Return the moments of which blocks say whether there is speech."""
    centres: Float64Array = (np.asarray(blocks) + 0.5) * BLOCK_SAMPLES / SAMPLE_RATE_HZ
    return centres


def _level_below_loudest(power: Float64Array) -> Float64Array:
    """Level ``[T]`` of each step in dB against the loudest before it; 0 if it is that itself."""
    level_db = 10 * np.log10(np.maximum(power, _FAINTEST**2 * 1e-5))
    loudest_db = _loudest_before(level_db, round(_MEMORY_S / STEP_S))
    floor_db = 20 * np.log10(_FAINTEST)
    return level_db - np.maximum(loudest_db, floor_db)


def _loudest_before(levels: Float64Array | FloatArray, memory: int) -> Float64Array:
    """Return the highest level ``[T]`` among each and the ``memory`` ones before it."""
    before = np.pad(levels, (memory, 0), mode="edge")
    loudest: Float64Array = np.lib.stride_tricks.sliding_window_view(before, memory + 1).max(axis=1)
    return loudest


def _begun_earlier(silent: BoolArray, doubtful: BoolArray) -> BoolArray:
    """Let runs of silence ``[T]`` begin with the doubts that lead to them."""
    earlier = silent.copy()
    for begin in np.flatnonzero(silent & ~np.roll(silent, 1)):
        before = doubtful[max(begin - _LONGEST_DOUBT_STEPS, 0) : begin]
        sure = np.flatnonzero(~before)
        earlier[begin - len(before) + (sure[-1] + 1 if len(sure) else 0) : begin] = True
    return earlier


def _lasting(quiet: BoolArray, least: int, ahead: int) -> BoolArray:
    """Keep the steps ``[T]`` of those runs that, seen ``ahead`` steps on, last for ``least``."""
    edges = np.flatnonzero(np.diff(np.pad(quiet, 1).astype(np.int8)))
    kept = np.zeros(len(quiet), np.bool_)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= least:
            kept[max(begin, begin + least - 1 - ahead) : end] = True
    return kept
