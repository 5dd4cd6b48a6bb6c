"""Where somebody speaks: silence, breath and music are no speech, and the mouth rests there."""

from __future__ import annotations

import numpy as np
import torch

from models.voice_activity import BLOCK_SAMPLES, CONTEXT_SAMPLES, VoiceActivityNet
from retalking.media.mel import SAMPLE_RATE_HZ
from retalking.speech.windows import STEP_S, STEP_SAMPLES, check_speech, num_steps
from retalking.types import AudioClip, Float64Array, FloatArray

_BLOCKS_AT_ONCE = 1024  # 33 s of speech
_CERTAIN = (0.4, 0.7)
"""Probabilities below the first are silence, above the second speech."""
_QUIET_DB = (-38.0, -30.0)
"""Levels under the loudest of the neighbourhood that are silence, and that may be speech. The
network remembers a voice for a quarter of a second in soft noise; its loudness ends at once."""
_NEIGHBOURHOOD_STEPS = 100
_AHEAD_STEPS = 5
"""Lips open about 0.1 s before a voice is heard."""
_SOFT = np.array([0.25, 0.5, 0.25])


def hear_voice(clip: AudioClip, network: VoiceActivityNet) -> FloatArray:
    """Say when the lips are busy with speech.

    Loudness as such does not matter. Nothing looks further ahead than 0.16 s.

    Args:
        clip: at 16 kHz.
        network: hears it.

    Returns:
        float32 ``[T]`` in [0, 1] on the 20 ms grid: 1 from 0.1 s before a voice is heard until it
        ends, 0 from 0.1 s after that on (0.25 s in loud noise).

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
    """
    check_speech(clip)
    probability = _probability(clip.samples, network)
    # A block is answered when it has been heard: its answer is about its middle.
    centres_s = (np.arange(len(probability)) + 0.5) * BLOCK_SAMPLES / SAMPLE_RATE_HZ
    grid_s = np.arange(num_steps(clip)) * STEP_S
    speech = _ramp(np.interp(grid_s, centres_s, probability), _CERTAIN)
    speech *= _ramp(_level_below_loudest(clip.samples, len(grid_s)), _QUIET_DB)
    ahead = np.pad(speech, (0, _AHEAD_STEPS), mode="edge")
    busy = np.lib.stride_tricks.sliding_window_view(ahead, _AHEAD_STEPS + 1).max(axis=1)
    smooth = np.convolve(np.pad(busy, 1, mode="edge"), _SOFT, mode="valid")
    return smooth.astype(np.float32)


@torch.inference_mode()
def _probability(samples: FloatArray, network: VoiceActivityNet) -> FloatArray:
    num_blocks = -(-len(samples) // BLOCK_SAMPLES)
    state, found = None, []
    for block in range(0, num_blocks, _BLOCKS_AT_ONCE):
        begin = block * BLOCK_SAMPLES
        end = min(block + _BLOCKS_AT_ONCE, num_blocks) * BLOCK_SAMPLES
        part = samples[max(begin - CONTEXT_SAMPLES, 0) : end]
        before = CONTEXT_SAMPLES if block == 0 else 0
        part = np.pad(part, (before, max(0, end - len(samples))))
        probability, state = network(torch.from_numpy(part), state)
        found.append(probability.numpy())
    return np.concatenate(found)


def _level_below_loudest(samples: FloatArray, count: int) -> Float64Array:
    """Level ``[T]`` of each step in dB against the loudest within the two seconds before it."""
    power = np.array(
        [
            np.square(samples[max(start - STEP_SAMPLES // 2, 0) : start + STEP_SAMPLES]).mean()
            for start in range(0, count * STEP_SAMPLES, STEP_SAMPLES)
        ],
        dtype=np.float64,
    )
    level_db = 10 * np.log10(np.maximum(power, 1e-12))
    before = np.pad(level_db, (_NEIGHBOURHOOD_STEPS, 0), mode="edge")
    loudest = np.lib.stride_tricks.sliding_window_view(before, _NEIGHBOURHOOD_STEPS + 1).max(1)
    return level_db - loudest


def _ramp(values: Float64Array, ends: tuple[float, float]) -> Float64Array:
    low, high = ends
    ramp: Float64Array = np.clip((values - low) / (high - low), 0, 1)
    return ramp
