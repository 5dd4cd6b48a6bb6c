"""Speech in windows of bounded length, so that an hour needs no more memory than ten seconds.

Windows lie at fixed times of the whole track. What is heard at a moment therefore depends neither
on who asks nor on how much is asked for at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retalking.errors import MediaError
from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.types import AudioClip, FloatArray

STEP_S = 0.02
"""The grid of everything that is heard; step ``g`` is at ``g * STEP_S`` seconds."""
STEP_SAMPLES = 320


@dataclass(frozen=True)
class Hearing:
    """How much of the speech around a moment is listened to, in steps of the grid.

    Attributes:
        hop: steps that are answered by one window.
        before: further steps that it hears before these.
        after: further steps that it hears after these: ``hop + after`` is the longest look-ahead.
    """

    hop: int
    before: int
    after: int

    @classmethod
    def offline(cls) -> Hearing:
        """Answer 8 s at a time with a second of context on both sides."""
        return cls(hop=400, before=50, after=50)

    @classmethod
    def live(cls, look_ahead_s: float) -> Hearing:
        """Never hear more than so much of the future, at 5 answers or more per second.

        Args:
            look_ahead_s: at least 0.04 s; 0.2 s costs little (see the model card).

        Raises:
            ValueError: it is shorter.
        """
        steps = int(look_ahead_s / STEP_S + 1e-6)
        if steps < 2:
            raise ValueError(f"look_ahead_s: got {look_ahead_s:g}, expected 0.04 or more")
        hop = max(1, min(5, steps // 2))
        return cls(hop=hop, before=200, after=steps - hop)


@dataclass(frozen=True)
class Window:
    """A piece of speech around the steps that it answers.

    Attributes:
        samples: float32 ``[N]``; beyond the ends of the track lies silence.
        kept: the steps of the window that count.
        start: number of the first of these on the grid of the whole track.
    """

    samples: FloatArray
    kept: slice
    start: int


def num_steps(clip: AudioClip) -> int:
    """Return the number of grid steps of a track: every step that begins within it."""
    return -(-len(clip.samples) // STEP_SAMPLES)


def check_speech(clip: AudioClip) -> None:
    """Refuse what the networks cannot hear.

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
    """
    if clip.sample_rate_hz != SAMPLE_RATE_HZ:
        raise MediaError(
            f"speech: got audio at {clip.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ}; "
            "resample it first"
        )
    if len(clip.samples) == 0:
        raise MediaError("speech: the audio has no samples; give a non-empty track")


def cut_windows(clip: AudioClip, hearing: Hearing) -> Iterator[Window]:
    """Cut a track into overlapping windows, the last one shorter.

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
    """
    check_speech(clip)
    total = num_steps(clip)
    for start in range(0, total, hearing.hop):
        stop = min(start + hearing.hop, total)
        first = max(start - hearing.before, 0)
        last = stop + hearing.after
        kept = slice(start - first, stop - first)
        yield Window(_cut(clip.samples, first * STEP_SAMPLES, last * STEP_SAMPLES), kept, start)


def _cut(samples: FloatArray, begin: int, end: int) -> FloatArray:
    inside = samples[begin : min(end, len(samples))]
    return np.pad(inside, (0, end - begin - len(inside)))
