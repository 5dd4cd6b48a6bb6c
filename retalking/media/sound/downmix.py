"""Fewer channels of a sound: two for a file that holds no more, one for what listens to speech."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from retalking.types import Float64Array, FloatArray

_HALF = 0.5**0.5
_CENTRE = ("FC", "TFC")
_BEHIND = ("BC", "TC", "TBC")
_SILENT = ("LFE", "LFE2")
_AT_EAR = ("FL", "FR", "DL", "DR", "BIL", "BIR", "FLC", "FRC")
_CANCELLED, _WHOLE_AGAIN = 0.1, 0.2
"""Power of the mixture against its loudest channel's: below the first it cancels out, and above the
second it no longer does. One voice in one of two channels leaves 0.25."""
_OTHER_CHANNEL = 2.0
"""How much more power another channel needs to take over."""
_MEMORY_S = 0.3
_NOTHING = 1e-10  # -100 dBFS


def stereo_weights(channels: Sequence[str]) -> Float64Array:
    """How loud each channel is at either ear, ``[2, C]``; rows add up to 1 at most.

    After ITU-R BS.775: centre and surround 3 dB lower, no low-frequency effects. Where the places
    of the channels are not known, both ears hear the mean of all.

    Args:
        channels: FFmpeg's names of their places, such as ``FL``.
    """
    weights = np.zeros((2, len(channels)))
    if channels[0] == "AMBI0":  # ambisonics; their first channel is the sound from all around
        weights[:, 0] = 1.0
    for place, name in enumerate(channels):
        if name in _CENTRE:
            weights[:, place] = _HALF
        elif name in _BEHIND:
            weights[:, place] = 0.5
        elif name not in _SILENT and (side := re.search(r"[LR](?=C?$)", name)):
            weights["LR".index(side[0]), place] = 1.0 if name in _AT_EAR else _HALF
    loudest = weights.sum(axis=1).max()
    if loudest == 0:
        return np.full((2, len(channels)), 1 / len(channels))
    return weights / loudest


def mix(weights: Float64Array, block: FloatArray) -> FloatArray:
    """Mix float32 ``[C, N]`` to as many channels as ``weights`` has rows."""
    return (weights.astype(np.float32) @ block).astype(np.float32, copy=False)


class SpeechMixer:
    """One channel out of many, block by block, without losing the voice.

    The mean of both ears; where that cancels out, as with a microphone of reversed polarity, the
    louder channel.
    """

    def __init__(self, channels: Sequence[str], sample_rate_hz: int) -> None:
        self._weights = stereo_weights(channels).mean(axis=0)
        self._weights /= self._weights.sum()
        self._heard = self._weights > 0
        self._rate_hz = sample_rate_hz
        self._powers: Float64Array | None = None  # of the channels and of the mixture
        self._chosen: int | None = None
        self._now = self._weights

    def mix(self, block: FloatArray) -> FloatArray:
        """Mix float32 ``[C, N]`` to ``[N]``."""
        mixed: FloatArray = mix(self._weights[None], block)[0]
        if len(block) == 1 or block.shape[1] == 0:
            return mixed
        self._listen(block, mixed)
        after = self._weights
        if self._chosen is not None:
            after = np.zeros(len(block))
            after[self._chosen] = 1.0
        before, self._now = self._now, after
        if before is after or np.array_equal(before, after):
            return mixed if self._chosen is None else block[self._chosen]
        fade = np.linspace(0, 1, block.shape[1], dtype=np.float32)
        old, new = mix(np.stack([before, after]), block)
        return old + fade * (new - old)

    def _listen(self, block: FloatArray, mixed: FloatArray) -> None:
        """Decide whether the mixture cancels out, and which channel speaks instead."""
        powers = np.append(np.mean(np.square(block), axis=1), np.mean(np.square(mixed)))
        powers = powers.astype(np.float64)
        first = self._powers is None
        if self._powers is not None:
            kept = np.exp(-block.shape[1] / self._rate_hz / _MEMORY_S)
            powers = kept * self._powers + (1 - kept) * powers
        if not powers[:-1].max() > _NOTHING:
            return
        self._powers = powers
        channels = np.where(self._heard, powers[:-1], 0.0)
        loudest = int(channels.argmax())
        whole = powers[-1] / max(channels[loudest], _NOTHING)
        if whole > _WHOLE_AGAIN:
            self._chosen = None
        elif (self._chosen is None and whole < _CANCELLED) or (
            self._chosen is not None and channels[loudest] > _OTHER_CHANNEL * channels[self._chosen]
        ):
            self._chosen = loudest
        if first and self._chosen is not None:  # nothing to fade from
            self._now = np.eye(len(block))[self._chosen]
