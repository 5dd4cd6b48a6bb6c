"""The moving average against its formula, buffers, and resume."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retalking.training.update.ema import Ema


def test_average_follows_the_formula_with_its_slow_start() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    ema = Ema(net, decay=0.25)
    nn.init.constant_(net.weight, 3.0)
    wanted = 1.0
    for decay in (1 / 10, 2 / 11, 0.25, 0.25):
        ema.update()
        wanted = decay * wanted + (1 - decay) * 3.0
        assert ema.network.weight.item() == pytest.approx(wanted)


def test_copy_is_frozen_apart_and_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    ema = Ema(net, decay=0.5)
    assert not ema.network.training
    assert net.training
    assert not any(p.requires_grad for p in ema.network.parameters())
    assert all(p.requires_grad for p in net.parameters())
    kept = ema.network[0].weight.clone()
    nn.init.zeros_(net[0].weight)
    assert torch.equal(ema.network[0].weight, kept)


def test_buffers_are_copied_integers_too() -> None:
    net = nn.BatchNorm1d(2)
    ema = Ema(net, decay=0.9)
    net(torch.randn(8, 2) + 5)
    ema.update()
    assert torch.equal(ema.network.running_mean, net.running_mean)
    assert ema.network.num_batches_tracked == 1


def test_resume_continues_the_slow_start() -> None:
    net = nn.Linear(2, 2)
    straight, parts = Ema(net, decay=0.9), Ema(net, decay=0.9)
    for _ in range(2):
        nn.init.normal_(net.weight)
        straight.update()
        parts.update()
    resumed = Ema(nn.Linear(2, 2), decay=0.9)
    resumed.load_state_dict(parts.state_dict())
    resumed._source = net
    straight.update()
    resumed.update()
    assert torch.equal(straight.network.weight, resumed.network.weight)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match=r"expected a value in \[0, 1\)"):
        Ema(nn.Linear(1, 1), decay)
