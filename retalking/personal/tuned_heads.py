"""All layers of the network that tells lips from speech, led a little way towards one person.

A minute of speech would be learnt by heart: the way is short, and the same for every talk. Beside
heads of which only the last layer was fitted, tuned ones err otherwise, and the mean errs less.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.speech.lip_shapes import LipShapeNet
from retalking.personal.talk_piece import FARTHEST, TalkPiece
from retalking.types import BoolArray, FloatArray

_UPDATES, _RATE = 80, 2e-4
"""Chosen on both ends of the talks of four people: 40 updates gain a little less, 140 no more."""
_BATCH, _WINDOW_STEPS = 8, 184
_LONGEST_GAP = 4  # steps between frames, between which lips are known


def tune_heads(common: LipShapeNet, talks: Sequence[TalkPiece], taught: BoolArray) -> LipShapeNet:
    """Train a copy of the network for some seconds.

    Args:
        common: the network; stays as it is.
        talks: of the person.
        taught: bool ``[F]``, frames of all talks, one after the other, that teach.

    Returns:
        The copy, in evaluation mode; what it tells of its certainty stays as it was.
    """
    ends = np.cumsum([len(talk.steps) for talk in talks])[:-1]
    lessons = [_prepare(*pair) for pair in zip(talks, np.split(taught, ends), strict=True)]
    lengths = np.array([lesson.heard.shape[1] for lesson in lessons], np.float64)
    network = copy.deepcopy(common).eval()  # dropout would only shorten the way
    network.requires_grad_(False)
    learning = [
        parameter.requires_grad_()
        for name, parameter in network.named_parameters()
        if ".spread." not in name
    ]
    optimizer = torch.optim.Adam(learning, _RATE)
    rng = np.random.default_rng(0)
    for _ in range(_UPDATES):
        batch = _draw(lessons[rng.choice(len(lessons), p=lengths / lengths.sum())], rng)
        guess = network.guess_each(batch.heard).mean
        error = (guess - batch.lips).square() * batch.known[:, None]
        optimizer.zero_grad()
        (error.mean() / batch.known.mean().clamp_min(1e-3)).backward()
        optimizer.step()
    return network.requires_grad_(False)


def join_heads(one: LipShapeNet, other: LipShapeNet) -> LipShapeNet:
    """Return a network whose answer is the mean of two of the same number of heads.

    Features, gain and closed lips are those of the first.
    """
    joined = copy.deepcopy(one)
    joined.heads.extend(copy.deepcopy(other.heads))
    joined.config = dataclasses.replace(one.config, num_heads=len(joined.heads))
    return joined


@torch.inference_mode()
def tell(network: LipShapeNet, talks: Sequence[TalkPiece]) -> FloatArray:
    """Guess the lips of all frames of all talks, ``[F, 5]``."""
    told = [network(torch.from_numpy(t.heard)[None]).mean[0].numpy().T[t.steps] for t in talks]
    return np.concatenate(told)


class _Lesson(NamedTuple):
    """A talk, or ``B`` windows of it.

    Attributes:
        heard: ``[C, T]``.
        lips: ``[5, T]``, between the frames interpolated.
        known: ``[T]``, 1 where they teach and 0 elsewhere.
    """

    heard: Tensor
    lips: Tensor
    known: Tensor


def _prepare(talk: TalkPiece, taught: BoolArray) -> _Lesson:
    count = talk.heard.shape[1]
    grid = np.arange(count)
    lips = np.stack(
        [np.interp(grid, talk.steps, column) for column in talk.lips.clip(-FARTHEST, FARTHEST).T]
    )
    known = np.zeros(count, np.float32)
    together = taught[:-1] & taught[1:] & (np.diff(talk.steps) <= _LONGEST_GAP)
    for frame in np.flatnonzero(together).tolist():
        known[talk.steps[frame] : talk.steps[frame + 1] + 1] = 1
    return _Lesson(
        torch.from_numpy(talk.heard), torch.from_numpy(lips).float(), torch.from_numpy(known)
    )


def _draw(lesson: _Lesson, rng: np.random.Generator) -> _Lesson:
    total = lesson.heard.shape[1]
    width = min(_WINDOW_STEPS, total)
    starts = rng.integers(0, total - width + 1, _BATCH).tolist()
    return _Lesson(*(torch.stack([part[..., at : at + width] for at in starts]) for part in lesson))
