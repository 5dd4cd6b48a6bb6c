"""The last layer of the network that tells lips from speech, fitted to one person.

Encoder and convolutions stay. The layer is linear in what they make of the speech, so the best
change to it has a closed form (ridge regression of what is left unexplained): seconds instead of
epochs, and nothing to stop early. How far it may change, shape by shape, is decided by pieces of
the talk that were left out; where they say that it should not, it does not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from models.speech.lip_shapes import NUM_SHAPES, LipShapeNet
from retalking.face.lip_motion import correlate
from retalking.types import Float64Array, FloatArray, IntArray

_STIFFNESS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of the change, in mean variances of the inputs, that are tried."""
_PIECE_FRAMES, _FEWEST_PIECES, _MOST_PIECES = 75, 4, 8
_GAP_FRAMES = 8  # beside a piece that judges, which what is heard there reaches into
_LEAST_GAIN = 0.02  # of what is not explained, below which a shape is left as it is
_FARTHEST = 4.0  # standard deviations


@dataclass(frozen=True)
class TalkPiece:
    """Part of a talk in one take.

    Attributes:
        heard: float32 ``[C, T]`` every 20 ms.
        steps: int64 ``[F]``, columns of it at each frame.
        lips: float64 ``[F, 5]`` in standard deviations of the speaker.
    """

    heard: FloatArray
    steps: IntArray
    lips: Float64Array


@dataclass(frozen=True)
class OwnSpeechFit:
    """What came of it.

    Attributes:
        network: fitted; ``None`` where the common one is as good.
        before: correlations ``[5]`` of the common network with pieces of the talk.
        after: the same of networks that had not seen these pieces.
    """

    network: LipShapeNet | None
    before: Float64Array
    after: Float64Array


def fit_own_speech(common: LipShapeNet, talks: Sequence[TalkPiece]) -> OwnSpeechFit:
    """Fit the last layer to how one person speaks.

    Args:
        common: the network; stays as it is.
        talks: of the person, sound and lips in step.

    Returns:
        A network whose gain and certainty are those of the pieces that were left out.
    """
    rows = _Rows.of(common, talks) if talks else None
    pieces = _cut(rows) if rows else []
    if rows is None or len(pieces) < _FEWEST_PIECES:
        return OwnSpeechFit(None, np.zeros(NUM_SHAPES), np.zeros(NUM_SHAPES))
    guesses = [_leave_out(rows, pieces, stiffness) for stiffness in _STIFFNESS]
    common_guess = rows.guess.mean(axis=0)
    before = _correlate(common_guess, rows.lips, pieces)
    found = np.stack([_correlate(guess, rows.lips, pieces) for guess in guesses])
    best = found.argmax(axis=0)
    kept = 1 - found.max(axis=0) ** 2 < (1 - _LEAST_GAIN) * (1 - before**2)
    chosen = np.stack([guesses[row][:, shape] for shape, row in enumerate(best)], axis=1)
    chosen = np.where(kept, chosen, common_guess)
    after = _correlate(chosen, rows.lips, pieces)
    if not kept.any():
        return OwnSpeechFit(None, before, before)
    network = copy.deepcopy(common)
    everything = np.arange(len(rows.lips))
    for head, inputs, guess in zip(network.heads, rows.inputs, rows.guess, strict=True):
        layer = cast(nn.Conv1d, head.shapes)
        for shape in np.flatnonzero(kept).tolist():
            left = (rows.lips - guess)[:, [shape]]
            change = _Ridge.of(inputs, left, everything, _STIFFNESS[best[shape]])
            with torch.no_grad():
                layer.weight[shape, :, 0] += torch.from_numpy(change.slopes[:, 0]).float()
                assert layer.bias is not None
                layer.bias[shape] += float(change.middle[0] - change.mean @ change.slopes[:, 0])
    gain = rows.lips.std(axis=0) / np.maximum(chosen.std(axis=0), 1e-6)
    with torch.no_grad():
        network.gain.copy_(
            torch.where(torch.from_numpy(kept), torch.from_numpy(gain), network.gain)
        )
    return OwnSpeechFit(network, before, after)


@dataclass(frozen=True)
class _Rows:
    """All frames of all talks: ``H`` heads.

    Attributes:
        inputs: of the last layers, ``[H, F, D]``.
        guess: of the heads as they are, ``[H, F, 5]``.
        lips: ``[F, 5]``.
        talk: int64 ``[F]``, number of the talk.
    """

    inputs: Float64Array
    guess: Float64Array
    lips: Float64Array
    talk: IntArray

    @classmethod
    @torch.inference_mode()
    def of(cls, network: LipShapeNet, talks: Sequence[TalkPiece]) -> _Rows:
        inputs, guesses = [], []
        for talk in talks:
            hidden = network.listen(torch.from_numpy(talk.heard)[None])[:, 0].numpy()
            guess = network.guess_each(torch.from_numpy(talk.heard)[None]).mean[:, 0].numpy()
            inputs.append(hidden[:, :, talk.steps].transpose(0, 2, 1))
            guesses.append(guess[:, :, talk.steps].transpose(0, 2, 1))
        return cls(
            np.concatenate(inputs, axis=1).astype(np.float64),
            np.concatenate(guesses, axis=1).astype(np.float64),
            np.concatenate([t.lips for t in talks]).clip(-_FARTHEST, _FARTHEST),
            np.repeat(np.arange(len(talks)), [len(t.lips) for t in talks]),
        )


@dataclass(frozen=True)
class _Ridge:
    """Linear guess of what is left: ``middle + (inputs - mean) @ slopes``."""

    mean: Float64Array
    slopes: Float64Array
    middle: Float64Array

    @classmethod
    def of(
        cls, inputs: Float64Array, left: Float64Array, frames: IntArray, stiffness: float
    ) -> _Ridge:
        """Fit to some frames.

        Args:
            inputs: ``[F, D]``.
            left: ``[F, S]``.
            frames: those that count.
            stiffness: see ``_STIFFNESS``.
        """
        inputs, left = inputs[frames], left[frames]
        mean, middle = inputs.mean(axis=0), left.mean(axis=0)
        centred = inputs - mean
        power = centred.T @ centred / len(frames)
        power += stiffness * np.trace(power) / len(power) * np.eye(len(power))
        slopes = np.linalg.solve(power, centred.T @ (left - middle) / len(frames))
        return cls(mean, slopes, middle)

    def __call__(self, inputs: Float64Array) -> Float64Array:
        guess: Float64Array = self.middle + (inputs - self.mean) @ self.slopes
        return guess


def _cut(rows: _Rows) -> list[IntArray]:
    """Pieces of the talks that take turns in judging, each in one take."""
    frames = len(rows.lips)
    length = max(_PIECE_FRAMES, -(-frames // _MOST_PIECES))
    pieces = []
    for talk in np.unique(rows.talk):
        own = np.flatnonzero(rows.talk == talk)
        pieces += np.array_split(own, max(1, round(len(own) / length)))
    return pieces


def _leave_out(rows: _Rows, pieces: list[IntArray], stiffness: float) -> Float64Array:
    """Guesses ``[F, 5]`` of networks that have not seen the piece they are asked about."""
    guess = np.empty_like(rows.lips)
    for piece in pieces:
        near = np.arange(piece[0] - _GAP_FRAMES, piece[-1] + _GAP_FRAMES + 1)
        others = np.setdiff1d(np.arange(len(rows.lips)), near)
        heads = [
            told[piece] + _Ridge.of(inputs, rows.lips - told, others, stiffness)(inputs[piece])
            for inputs, told in zip(rows.inputs, rows.guess, strict=True)
        ]
        guess[piece] = np.mean(heads, axis=0)
    return guess


def _correlate(guess: Float64Array, lips: Float64Array, pieces: list[IntArray]) -> Float64Array:
    """Correlations ``[5]`` over all pieces, less what each is off as a whole; at least 0."""
    told, seen = (
        np.concatenate([values[piece] - values[piece].mean(axis=0) for piece in pieces])
        for values in (guess, lips)
    )
    return np.array([max(correlate(told[:, s], seen[:, s]), 0.0) for s in range(NUM_SHAPES)])
