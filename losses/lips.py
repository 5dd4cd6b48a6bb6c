"""Criteria for guesses of lip shapes from speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.speech.lip_shapes import LipGuess

CLOSED_OPENING = -0.8
"""Openings below this, in standard deviations, are closed lips: one frame in five."""
_OPENING = 0
_LEAST_VARIANCE = 0.05


class LipLosses(NamedTuple):
    """Scalars, means over heads, samples, frames and shapes.

    Attributes:
        error: square of the error, weighted.
        uncertainty: negative logarithm of the likelihood of the errors as they are (the mean guess
            gets no gradient from it) under normal distributions of the variance that is told.
    """

    error: Tensor
    uncertainty: Tensor


def lip_losses(
    guess: LipGuess, steps: Tensor, shapes: Tensor, weights: Sequence[float], closed: float
) -> LipLosses:
    """Compare the guesses of all heads with what the lips did.

    Args:
        guess: of ``LipShapeNet.guess_each``, ``[H, B, 5, S]``.
        steps: int64 ``[B, T]``, columns of the guess to compare.
        shapes: ``[B, T, 5]`` in standard deviations.
        weights: of the five shapes.
        closed: further weight of frames with closed lips.
    """
    chosen = steps[None, :, None].expand(*guess.mean.shape[:3], -1)
    mean, variance = (part.float().gather(3, chosen) for part in guess)
    squares = (mean - shapes.transpose(1, 2)).square()
    shape_weights = torch.tensor(weights, device=squares.device)[:, None]
    frame_weights = 1 + closed * (shapes[..., _OPENING] < CLOSED_OPENING).float()
    error = (squares * shape_weights * frame_weights[:, None]).mean() / shape_weights.mean()
    told = variance.clamp_min(_LEAST_VARIANCE)
    likelihood = (squares.detach() / told + told.log()).mean() / 2
    return LipLosses(error, likelihood)
