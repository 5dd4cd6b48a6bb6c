"""Ranks: averaging, shared batch norm, joining, and what goes wrong."""

from __future__ import annotations

import copy
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from retalking.errors import ConfigError
from retalking.training.distributed import RankBatchNorm, Ranks, join_ranks, share_batch_norm
from retalking.training.interrupts import heed_signals
from retalking.training.update.reduction import GradientReducer
from tests.rounding import DOUBLE, SINGLE
from tests.unit.training.ranks import run_two


def _make_net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 5, bias=False),
        nn.BatchNorm1d(5, momentum=None),
        nn.BatchNorm1d(5, affine=False, track_running_stats=False),
    ).double()


def _results(net: nn.Module) -> dict[str, torch.Tensor]:
    gradients = {f"grad {name}": p.grad for name, p in net.named_parameters() if p.grad is not None}
    return net.state_dict() | gradients


def _loss(net: nn.Module, share: slice) -> torch.Tensor:
    x = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    return (net(x[share]) * torch.arange(30.0).view(6, 5).sin()[share]).sum(1).mean()


def _shared_step(ranks: Ranks, folder: Path) -> None:
    net = share_batch_norm(_make_net())
    if not ranks.is_main:
        nn.init.zeros_(net[0].weight)
    ranks.broadcast(net)
    reducer = GradientReducer([*net.parameters()], ranks)
    reducer.expect()
    _loss(net, slice(3 * ranks.rank, 3 * ranks.rank + 3)).backward()
    reducer.finish()
    scalars = {
        "mean": ranks.mean(torch.tensor(float(ranks.rank))),
        "number": torch.tensor(ranks.broadcast_number(ranks.rank + 5)),
    }
    torch.save(_results(net) | scalars, folder / f"{ranks.rank}.pt")


def test_two_ranks_with_shared_batch_norm_equal_one(tmp_path: Path) -> None:
    net = _make_net()
    _loss(net, slice(None)).backward()
    wanted = _results(net)
    for found in run_two(_shared_step, tmp_path):
        assert found.pop("mean") == 0.5
        assert found.pop("number") == 5
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, atol=DOUBLE, rtol=DOUBLE)


def test_shared_batch_norm_keeps_keys_and_evaluates_alike() -> None:
    net = _make_net().float()
    net(torch.randn(4, 2, 8, 8))
    shared = share_batch_norm(copy.deepcopy(net).eval())
    assert isinstance(shared[1], RankBatchNorm)
    assert list(shared.state_dict()) == list(net.state_dict())
    x = torch.randn(4, 2, 8, 8)
    torch.testing.assert_close(shared(x), net.eval()(x))


def test_shared_batch_norm_is_exact_alone_too() -> None:
    """PyTorch's own errs by 1e-4 here."""
    x = torch.randn(32, 16, 48, 96, generator=torch.Generator().manual_seed(0)) + 1
    exact = nn.BatchNorm2d(16).double()
    shared = share_batch_norm(nn.BatchNorm2d(16))
    found = shared(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, exact(x.double()).float(), atol=SINGLE, rtol=0)
    for name, value in exact.named_buffers():
        torch.testing.assert_close(
            shared.get_buffer(name), value.to(shared.get_buffer(name)), atol=SINGLE, rtol=0
        )


def test_alone_nothing_is_exchanged() -> None:
    ranks = Ranks()
    net = nn.Linear(2, 2)
    reducer = GradientReducer([*net.parameters()], ranks)
    reducer.expect()
    net(torch.ones(1, 2)).sum().backward()
    reducer.finish()
    assert torch.equal(net.weight.grad, torch.ones(2, 2))
    ranks.broadcast(net)
    ranks.barrier()
    assert ranks.is_main
    assert ranks.mean(torch.tensor(4.0)) == 4
    assert ranks.begin_mean(torch.tensor(4.0))() == 4
    assert ranks.broadcast_number(9) == 9


def test_join_without_torchrun_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with join_ranks("cpu") as ranks:
        assert ranks == Ranks(0, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    ("world_size", "message"),
    [("two", "invalid literal.*start with torchrun"), ("2", "cannot join the others.*torchrun")],
)
def test_incomplete_environment(
    monkeypatch: pytest.MonkeyPatch, world_size: str, message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", world_size)
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=message), join_ranks("cpu"):
        pass


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "4")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"process 4 .* has no GPU: there are 2"), join_ranks():
        pass


def test_first_signal_is_heeded_and_the_second_acts_as_usual(
    request: pytest.FixtureRequest,
) -> None:
    # A shell that runs the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with heed_signals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals == ["SIGINT"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
