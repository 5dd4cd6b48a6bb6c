"""Lips from speech that is still being spoken: the same numbers, as soon as they can be known."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch

from models.speech.voice_activity import BLOCK_SAMPLES, CONTEXT_SAMPLES, State, VoiceActivityNet
from retalking.speech.lip_shapes import (
    SILENCE_AFTER_STEPS,
    LipListener,
    guess_shapes,
    rest_in_silence,
)
from retalking.speech.voice_activity import (
    MEMORY_BLOCKS,
    STEPS_AHEAD,
    block_centre_s,
    raise_blocks,
    step_power,
    step_span,
    tell_speech,
)
from retalking.speech.windows import STEP_S, STEP_SAMPLES, Hearing
from retalking.types import Float64Array, FloatArray

_REMEMBERED_STEPS = 600
"""Of 12 s: loudness counts for 5 s, and no silence that must last is longer than 1.5 s."""


class _Samples:
    """The end of a track, numbered from the track's beginning; what lies outside is silent."""

    def __init__(self) -> None:
        self.total = 0
        self._kept = np.zeros(0, np.float32)

    def add(self, samples: FloatArray, needed: int) -> None:
        """Append, and forget what comes before sample ``needed``."""
        first = self.total - len(self._kept)
        self._kept = np.concatenate([self._kept[max(needed - first, 0) :], samples])
        self.total += len(samples)

    def cut(self, begin: int, end: int) -> FloatArray:
        """Return samples from ``begin`` to ``end``."""
        first = self.total - len(self._kept)
        inside = self._kept[max(begin - first, 0) : max(end - first, 0)]
        before = max(min(-begin, end - begin), 0)
        return np.pad(inside, (before, end - begin - before - len(inside)))


class LiveVoice:
    """Hears where somebody speaks; see ``hear_voice``."""

    def __init__(self, network: VoiceActivityNet) -> None:
        self._network = network
        self._state: State | None = None
        self._levels: deque[float] = deque(maxlen=MEMORY_BLOCKS + 1)
        self._probability: list[float] = []
        self._powers: list[float] = []

    @property
    def num_blocks(self) -> int:
        """Blocks that were heard."""
        return len(self._probability)

    @property
    def num_steps(self) -> int:
        """Steps of which the loudness is known."""
        return len(self._powers)

    def listen(self, samples: _Samples, ended: bool) -> None:
        """Hear what has come; if nothing follows, the last block may be half of silence."""
        while (span := step_span(self.num_steps))[1] <= samples.total:
            self._powers.append(step_power(samples.cut(*span)))
        blocks = []
        count = -(-samples.total // BLOCK_SAMPLES) if ended else samples.total // BLOCK_SAMPLES
        for number in range(self.num_blocks, count):
            begin = number * BLOCK_SAMPLES
            blocks.append(samples.cut(begin - CONTEXT_SAMPLES, begin + BLOCK_SAMPLES))
        if blocks:
            self._hear(np.stack(blocks))

    @torch.inference_mode()
    def _hear(self, blocks: FloatArray) -> None:
        loudest = []
        for level in np.sqrt(np.square(blocks).mean(axis=1)):
            self._levels.append(float(level))
            loudest.append(max(self._levels))
        raised = raise_blocks(blocks, np.array(loudest))
        probability, self._state = self._network(torch.from_numpy(raised), self._state)
        self._probability += probability.tolist()

    def known_steps(self) -> int:
        """Return how many steps are decided whatever follows."""
        last_s = float(block_centre_s(self.num_blocks - 1)) if self.num_blocks else -1.0
        return max(min(self.num_steps, int(last_s / STEP_S + 1e-9) + 1) - STEPS_AHEAD, 0)

    def speaking(self, first: int, last: int) -> FloatArray:
        """Say of steps whether somebody speaks, float32 ``[last - first]``."""
        begin = max(first - _REMEMBERED_STEPS, 0)
        block = int(begin * STEP_SAMPLES // BLOCK_SAMPLES)
        block = max(block - 1, 0)
        told = tell_speech(
            np.arange(begin, self.num_steps),
            np.array(self._probability[block:], np.float32),
            np.array(self._powers[begin:]),
            live=True,
            first_block=block,
        )
        return told[first - begin : last - begin]


class LiveLips:
    """Hears lips in speech that comes in pieces.

    They equal those of ``hear_lips`` with the same look-ahead for the whole speech at once.
    """

    def __init__(self, listener: LipListener, look_ahead_s: float) -> None:
        """Begin with nothing.

        Args:
            listener: the networks.
            look_ahead_s: how much of the future is waited for.
        """
        self._listener = listener
        self._hearing = Hearing.live(look_ahead_s)
        self._voice = LiveVoice(listener.voice)
        self._samples = _Samples()
        self._values: list[FloatArray] = []
        self._forgotten = 0
        self._end: int | None = None

    @property
    def known_s(self) -> float:
        """Moment up to which lips are known, -1 if they are not at all; no end once it ended."""
        if self._end is not None:
            return float("inf")
        count = self._forgotten + len(self._values)
        return (count - 1) * STEP_S if count else -1.0

    @property
    def heard_s(self) -> float:
        """How long the speech is so far."""
        return (self._samples.total if self._end is None else self._end) / (STEP_SAMPLES / STEP_S)

    def add(self, samples: FloatArray) -> None:
        """Hear float32 ``[N]`` more, mono at 16 kHz."""
        self._samples.add(samples, self._needed)
        self._voice.listen(self._samples, ended=False)
        self._answer(self._voice.known_steps())

    def end(self) -> None:
        """Say that nothing follows: the lips close."""
        self._end = self._samples.total
        count = -(-self._end // STEP_SAMPLES) + SILENCE_AFTER_STEPS
        silence = np.zeros(count * STEP_SAMPLES - self._end, np.float32)
        self._samples.add(silence, self._needed)
        self._voice.listen(self._samples, ended=True)
        self._answer(count, ended=True)

    def at(self, times_s: Float64Array) -> FloatArray:
        """Return lips ``[T, 5]`` at moments up to ``known_s``; what came before is forgotten."""
        grid_s = (self._forgotten + np.arange(len(self._values))) * STEP_S
        values = np.stack(self._values)
        rows = [np.interp(times_s, grid_s, curve) for curve in values.T]
        if len(times_s):
            spare = int(np.searchsorted(grid_s, times_s[-1], side="right")) - 1
            spare = max(min(spare, len(self._values) - 1), 0)
            del self._values[:spare]
            self._forgotten += spare
        return np.stack(rows, axis=1).astype(np.float32)

    @property
    def _answered(self) -> int:
        return self._forgotten + len(self._values)

    @property
    def _needed(self) -> int:
        """Sample from which on the next window hears, and so the voice, which is further on."""
        return (self._answered - self._hearing.before) * STEP_SAMPLES

    def _answer(self, known: int, ended: bool = False) -> None:
        hearing = self._hearing
        while True:
            start = self._answered
            stop = min(start + hearing.hop, known) if ended else start + hearing.hop
            heard = (stop + hearing.after) * STEP_SAMPLES <= self._samples.total
            if stop > known or stop == start or not (heard or ended):
                return
            first = max(start - hearing.before, 0)
            window = self._samples.cut(first * STEP_SAMPLES, (stop + hearing.after) * STEP_SAMPLES)
            mean = guess_shapes(window, self._listener).mean
            speaking = self._voice.speaking(start, stop)
            kept = mean[start - first : stop - first]
            self._values += list(rest_in_silence(kept, speaking, self._listener))
