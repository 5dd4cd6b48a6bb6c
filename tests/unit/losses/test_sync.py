"""Criteria of lips and speech against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from losses.sync import (
    SyncSchedule,
    contrastive_loss,
    group_cross_entropy,
    sync_cross_entropy,
    sync_loss,
    sync_probability,
)
from tests.rounding import SINGLE


def test_sync_probability_is_the_cosine() -> None:
    video = torch.tensor([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0]])
    audio = torch.tensor([[5.0, 0.0], [0.0, 7.0], [1.0, 1.0]])
    wanted = torch.tensor([1.0, math.sqrt(0.5), 0.0])
    torch.testing.assert_close(sync_probability(video, audio), wanted)


def test_sync_loss_is_minus_log_of_the_cosine() -> None:
    video, audio = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert sync_loss(video, audio).item() == pytest.approx(0.5 * math.log(2), rel=SINGLE)
    worst = sync_loss(video, torch.tensor([[0.0, 1.0]])).item()
    assert worst == pytest.approx(-math.log(1e-7), rel=1e-5)


def test_sync_cross_entropy_matches_torch_and_stays_finite() -> None:
    probability, in_sync = torch.rand(8), torch.tensor([1.0, 0.0] * 4)
    wanted = F.binary_cross_entropy(probability, in_sync)
    torch.testing.assert_close(sync_cross_entropy(probability, in_sync), wanted)
    edge = torch.tensor([0.0, 1.0 + 1e-6], requires_grad=True)
    loss = sync_cross_entropy(edge, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.isfinite()
    assert edge.grad is not None
    assert edge.grad.isfinite().all()


def test_contrastive_loss_at_known_cosines() -> None:
    assert contrastive_loss(torch.full((3, 2, 4), 0.3), 0.07).item() == pytest.approx(math.log(4))
    cosine = torch.tensor([[[0.9, 0.2, 0.2], [0.2, 0.9, 0.2]]])  # two windows shown of three heard
    wanted = math.log(1 + 2 * math.exp(-0.7 / 0.1))
    assert contrastive_loss(cosine, 0.1).item() == pytest.approx(wanted, abs=SINGLE)
    assert contrastive_loss(cosine.flip(2), 0.1).item() > 3  # their own speech is the least like
    both = contrastive_loss(torch.cat([cosine, cosine.flip(2)]), 0.1).item()
    alone = [contrastive_loss(part, 0.1).item() for part in (cosine, cosine.flip(2))]
    assert both == pytest.approx(sum(alone) / 2)


def test_group_cross_entropy_weighs_right_and_wrong_pairs() -> None:
    cosine = torch.full((3, 2, 4), 0.3)
    cosine[:, [0, 1], [0, 1]] = 0.8
    wanted = -0.6 * math.log(0.8) - 0.4 * math.log(1 - 0.3)
    assert group_cross_entropy(cosine, 0.6).item() == pytest.approx(wanted, rel=1e-5)
    cosine[:, 0, 1] = 0.6  # one of six wrong pairs
    wanted = -(math.log(0.8) + (math.log(1 - 0.6) + 5 * math.log(1 - 0.3)) / 6) / 2
    assert group_cross_entropy(cosine, 0.5).item() == pytest.approx(wanted, rel=1e-5)


def test_sync_schedule_switches_on_once_and_is_restored() -> None:
    schedule = SyncSchedule(weight=0.3, threshold=0.75)
    schedule.observe(0.8)
    assert schedule.weight == 0
    schedule.observe(0.7)
    schedule.observe(0.9)
    assert schedule.weight == 0.3
    restored = SyncSchedule(weight=0.3, threshold=0.75)
    restored.load_state_dict(schedule.state_dict())
    assert restored.weight == 0.3
    assert SyncSchedule(0.3, math.inf).weight == 0.3
