"""The network that tells lips from speech, fitted to one person; the encoder stays.

The last layer is linear in what it reads, so the best change to it has a closed form (ridge
regression of what is left unexplained). How far it may change, shape by shape, is decided by pieces
of the talk that were left out. So is whether heads that were tuned as a whole join in, and how far
the lips follow what is told. Where these pieces say that nothing is gained, nothing is changed.
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
from retalking.mouth.warp.lip_measures import OPENING
from retalking.personal.talk_piece import FARTHEST, TalkPiece
from retalking.personal.tuned_heads import join_heads, tell, tune_heads
from retalking.types import BoolArray, Float64Array, IntArray

_STIFFNESS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of the change, in mean variances of the inputs, that are tried."""
_PIECE_FRAMES, _FEWEST_PIECES, _MOST_PIECES = 75, 4, 8
_GAP_FRAMES = 8  # beside a piece that judges, which what is heard there reaches into
_LEAST_GAIN = 0.02  # of what is not explained, below which things are left as they are
_FITS = 0.7  # correlation of the opening, below which no layer but the last is touched
_TUNINGS = 4  # each judged by another quarter of the pieces


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
    """Fit the network to how one person speaks.

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
    before = _correlate(rows.guess.mean(axis=0), rows.lips, pieces)
    layer = _LastLayer.choose(rows, pieces, before)
    told = (layer.guess + _leave_out_of_tuning(common, talks, pieces)) / 2
    kept, joined = (_correlate(guess, rows.lips, pieces) for guess in (layer.guess, told))
    gains = (1 - joined**2).sum() < (1 - _LEAST_GAIN) * (1 - kept**2).sum()
    # What is seen first must not suffer, and speech that hardly fits would teach its own faults.
    tunes = bool(gains and before[OPENING] >= _FITS and joined[OPENING] >= kept[OPENING])
    if not layer.kept.any() and not tunes:
        return OwnSpeechFit(None, before, before)
    network = layer.fit(common, rows)
    if tunes:
        everything = np.ones(len(rows.lips), np.bool_)
        network = join_heads(network, tune_heads(common, talks, everything))
    gain = _measure_gain(told if tunes else layer.guess, rows.lips, pieces)
    with torch.no_grad():
        network.gain.copy_(torch.from_numpy(gain))
    return OwnSpeechFit(network, before, joined if tunes else kept)


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
            np.concatenate([t.lips for t in talks]).clip(-FARTHEST, FARTHEST),
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


@dataclass(frozen=True)
class _LastLayer:
    """How the last layer is best changed.

    Attributes:
        kept: bool ``[5]``, shapes that gain from it.
        stiffness: of the shapes.
        guess: ``[F, 5]`` of layers that have not seen the piece they are asked about; of the
            common one where that is as good.
    """

    kept: BoolArray
    stiffness: tuple[float, ...]
    guess: Float64Array

    @classmethod
    def choose(cls, rows: _Rows, pieces: list[IntArray], before: Float64Array) -> _LastLayer:
        guesses = [_leave_out(rows, pieces, stiffness) for stiffness in _STIFFNESS]
        found = np.stack([_correlate(guess, rows.lips, pieces) for guess in guesses])
        best = found.argmax(axis=0)
        kept = 1 - found.max(axis=0) ** 2 < (1 - _LEAST_GAIN) * (1 - before**2)
        chosen = np.stack([guesses[row][:, shape] for shape, row in enumerate(best)], axis=1)
        guess = np.where(kept, chosen, rows.guess.mean(axis=0))
        return cls(kept, tuple(_STIFFNESS[row] for row in best.tolist()), guess)

    def fit(self, common: LipShapeNet, rows: _Rows) -> LipShapeNet:
        """Return a copy of the network whose last layers are changed so, by all frames."""
        network = copy.deepcopy(common)
        everything = np.arange(len(rows.lips))
        for head, inputs, guess in zip(network.heads, rows.inputs, rows.guess, strict=True):
            layer = cast(nn.Conv1d, head.shapes)
            for shape in np.flatnonzero(self.kept).tolist():
                left = (rows.lips - guess)[:, [shape]]
                change = _Ridge.of(inputs, left, everything, self.stiffness[shape])
                with torch.no_grad():
                    layer.weight[shape, :, 0] += torch.from_numpy(change.slopes[:, 0]).float()
                    assert layer.bias is not None
                    layer.bias[shape] += float(change.middle[0] - change.mean @ change.slopes[:, 0])
        return network


def _cut(rows: _Rows) -> list[IntArray]:
    """Pieces of the talks that take turns in judging, each in one take."""
    frames = len(rows.lips)
    length = max(_PIECE_FRAMES, -(-frames // _MOST_PIECES))
    pieces = []
    for talk in np.unique(rows.talk):
        own = np.flatnonzero(rows.talk == talk)
        pieces += np.array_split(own, max(1, round(len(own) / length)))
    return pieces


def _near(piece: IntArray) -> IntArray:
    """Frames that a piece, or what is heard in it, reaches."""
    return np.arange(piece[0] - _GAP_FRAMES, piece[-1] + _GAP_FRAMES + 1)


def _leave_out(rows: _Rows, pieces: list[IntArray], stiffness: float) -> Float64Array:
    """Guesses ``[F, 5]`` of layers that have not seen the piece they are asked about."""
    guess = np.empty_like(rows.lips)
    for piece in pieces:
        others = np.setdiff1d(np.arange(len(rows.lips)), _near(piece))
        heads = [
            told[piece] + _Ridge.of(inputs, rows.lips - told, others, stiffness)(inputs[piece])
            for inputs, told in zip(rows.inputs, rows.guess, strict=True)
        ]
        guess[piece] = np.mean(heads, axis=0)
    return guess


def _leave_out_of_tuning(
    common: LipShapeNet, talks: Sequence[TalkPiece], pieces: list[IntArray]
) -> Float64Array:
    """Guesses ``[F, 5]`` of tuned networks that have not seen the piece they are asked about."""
    count = sum(len(talk.steps) for talk in talks)
    guess = np.empty((count, NUM_SHAPES))
    for first in range(_TUNINGS):
        judged = pieces[first::_TUNINGS]
        near = np.concatenate([_near(piece) for piece in judged])
        network = tune_heads(common, talks, ~np.isin(np.arange(count), near))
        told, frames = tell(network, talks), np.concatenate(judged)
        guess[frames] = told[frames]
    return guess


def _centre(values: Float64Array, pieces: list[IntArray]) -> Float64Array:
    """Return the values of all pieces less what each is off as a whole."""
    return np.concatenate([values[piece] - values[piece].mean(axis=0) for piece in pieces])


def _correlate(guess: Float64Array, lips: Float64Array, pieces: list[IntArray]) -> Float64Array:
    """Correlations ``[5]`` over all pieces, less what each is off as a whole; at least 0."""
    told, seen = _centre(guess, pieces), _centre(lips, pieces)
    return np.array([max(correlate(told[:, s], seen[:, s]), 0.0) for s in range(NUM_SHAPES)])


def _measure_gain(guess: Float64Array, lips: Float64Array, pieces: list[IntArray]) -> Float64Array:
    """Gains ``[5]`` at which guesses err least: what speech does not tell is not made up."""
    told, seen = _centre(guess, pieces), _centre(lips, pieces)
    slopes = (told * seen).sum(axis=0) / np.maximum(np.square(told).sum(axis=0), 1e-9)
    return np.maximum(slopes, 0.0)
