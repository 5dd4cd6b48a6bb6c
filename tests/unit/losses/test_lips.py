from __future__ import annotations

import math

import pytest
import torch

from losses.lips import lip_losses
from models.speech.lip_shapes import LipGuess

EVEN = (1.0,) * 5


def guess_of(mean: torch.Tensor, variance: float = 1.0) -> LipGuess:
    return LipGuess(mean, torch.full_like(mean, variance))


def test_only_the_steps_of_frames_count() -> None:
    mean = torch.zeros(2, 1, 5, 6)
    mean[..., 2], mean[..., 5] = 1.0, 7.0
    shapes, steps = torch.zeros(1, 2, 5), torch.tensor([[0, 2]])
    losses = lip_losses(guess_of(mean), steps, shapes, EVEN, 0.0)
    assert losses.error.item() == pytest.approx(0.5)


def test_shapes_and_closed_lips_are_weighted() -> None:
    mean, steps = torch.zeros(1, 1, 5, 1), torch.zeros(1, 1, dtype=torch.int64)
    shapes = torch.tensor([[[-2.0, 0, 0, 0, 1]]])
    weights = (2.0, 1.0, 1.0, 1.0, 0.0)
    usual = lip_losses(guess_of(mean), steps, shapes, weights, 0.0).error.item()
    assert usual == pytest.approx((4 * 2) / 5)
    more = lip_losses(guess_of(mean), steps, shapes, weights, 0.5).error.item()
    assert more == pytest.approx(1.5 * usual)


def test_the_variance_is_best_where_it_is_the_square_of_the_error() -> None:
    mean, steps = torch.zeros(1, 1, 5, 1), torch.zeros(1, 1, dtype=torch.int64)
    shapes = torch.full((1, 1, 5), math.sqrt(0.3))
    told = [
        lip_losses(guess_of(mean, v), steps, shapes, EVEN, 0).uncertainty for v in (0.2, 0.3, 0.5)
    ]
    assert told[1] < min(told[0], told[2])


def test_uncertainty_does_not_move_the_mean() -> None:
    mean = torch.zeros(1, 1, 5, 1, requires_grad=True)
    variance = torch.ones(1, 1, 5, 1, requires_grad=True)
    shapes = torch.ones(1, 1, 5)
    steps = torch.zeros(1, 1, dtype=torch.int64)
    lip_losses(LipGuess(mean, variance), steps, shapes, EVEN, 0).uncertainty.backward()
    assert mean.grad is None
    assert variance.grad is not None
