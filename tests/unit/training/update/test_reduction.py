"""Gradients are averaged over ranks while the way back runs, whatever takes part in it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from retalking.training.distributed import Ranks
from retalking.training.update.reduction import GradientReducer
from tests.rounding import DOUBLE
from tests.unit.training.ranks import run_two

NUM_LAYERS = 4


def _make_net() -> nn.ModuleDict:
    torch.manual_seed(3)
    layers = nn.Sequential(*(nn.Linear(5, 5, bias=False) for _ in range(NUM_LAYERS)))
    return nn.ModuleDict({"layers": layers, "unused": nn.Linear(5, 5)}).double()


def _loss(net: nn.ModuleDict, share: slice) -> Tensor:
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).double()
    made: Tensor = net["layers"](x[share])
    return made.square().sum(1).mean()


def _gradients(net: nn.ModuleDict) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def _two_updates(ranks: Ranks, folder: Path) -> None:
    """Accumulate over two micro-batches, with all layers, and then with the first one frozen."""
    net = _make_net()
    reducer = GradientReducer([*net.parameters()], ranks, bucket_bytes=1)
    found = {}
    for update in range(2):
        net.zero_grad()
        net["layers"][0].requires_grad_(update == 0)
        first = 4 * ranks.rank
        (_loss(net, slice(first, first + 2)) / 2).backward()
        reducer.expect()
        (_loss(net, slice(first + 2, first + 4)) / 2).backward()
        reducer.finish()
        found |= {f"{update} {name}": value for name, value in _gradients(net).items()}
    torch.save(found, folder / f"{ranks.rank}.pt")


def test_two_ranks_average_what_one_has(tmp_path: Path) -> None:
    net = _make_net()
    wanted = {}
    for update in range(2):
        net.zero_grad()
        net["layers"][0].requires_grad_(update == 0)
        _loss(net, slice(None)).backward()
        wanted |= {f"{update} {name}": value for name, value in _gradients(net).items()}
    assert len(wanted) == 2 * NUM_LAYERS - 1
    for found in run_two(_two_updates, tmp_path):
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, atol=DOUBLE, rtol=DOUBLE)


def _note_order(ranks: Ranks, folder: Path) -> None:
    """Note how many buckets are on their way when each layer's gradient is there."""
    net = _make_net()
    sent: list[int] = []
    begin_mean = Ranks.begin_mean

    def count(self: Ranks, values: Tensor) -> object:
        sent.append(values.numel())
        return begin_mean(self, values)

    Ranks.begin_mean = count  # type: ignore[assignment, method-assign]
    reducer = GradientReducer([*net["layers"].parameters()], ranks, bucket_bytes=2 * 25 * 8)
    seen: list[int] = []
    for parameter in net["layers"].parameters():
        parameter.register_post_accumulate_grad_hook(lambda _: seen.append(len(sent)))
    _loss(net, slice(0, 4)).backward()
    before = list(sent)
    reducer.expect()
    seen.clear()
    _loss(net, slice(4, 8)).backward()
    during = list(sent)
    reducer.finish()
    torch.save({"before": before, "during": during, "seen": seen}, folder / f"{ranks.rank}.pt")


def test_full_buckets_leave_while_the_way_back_runs(tmp_path: Path) -> None:
    for found in run_two(_note_order, tmp_path):
        assert found["before"] == []  # gradients of a micro-batch that is not the last one stay
        assert found["seen"] == [0, 1, 1, 2]  # two layers fill a bucket, the last layers first
        assert found["during"] == [50, 50]
