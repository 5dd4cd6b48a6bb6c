"""Learning rate, clipping, accumulation, loss scaling and preparation of networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from models.blocks.layers import ConvNormReLU, freeze_absorbed_biases
from retalking.errors import ConfigError
from retalking.training.distributed import RankBatchNorm, Ranks
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import (
    ComputeSettings,
    OptimizerSettings,
    StepDecay,
    Updater,
    learning_rate,
    prepare,
)


class Batch(NamedTuple):
    x: Tensor
    clip_ids: list[str]


def _optimizer(**changes: Any) -> OptimizerSettings:
    values: dict[str, Any] = {
        "learning_rate": 0.1,
        "betas": (0.9, 0.999),
        "warmup_steps": 0,
        "decay_steps": None,
        "step_decay": None,
        "clip_norm": None,
    }
    return OptimizerSettings(**{**values, **changes})


def compute_settings(**changes: Any) -> ComputeSettings:
    values: dict[str, Any] = {
        "precision": "fp32",
        "accumulate": 1,
        "checkpointing": False,
        "compile": False,
        "channels_last": False,
        "batch_norm": "ranks",
        "deterministic": False,
    }
    return ComputeSettings(**{**values, **changes})


def test_rate_is_constant_or_warms_up_and_decays() -> None:
    assert learning_rate(_optimizer(), 10**6) == 0.1
    warm = _optimizer(warmup_steps=3)
    assert [learning_rate(warm, step) for step in range(5)] == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.1]
    )
    decayed = _optimizer(decay_steps=10)
    assert [learning_rate(decayed, step) for step in (0, 5, 10, 99)] == pytest.approx(
        [0.1, 0.05, 0, 0], abs=1e-12
    )


def test_rate_falls_in_steps() -> None:
    stepped = _optimizer(step_decay=StepDecay(every=10, factor=0.5))
    rates = [learning_rate(stepped, step) for step in (0, 9, 10, 25)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_gradient_norm_is_returned_and_clipped() -> None:
    weight = nn.Parameter(torch.zeros(2))
    updater = Updater([weight], _optimizer(clip_norm=1.0), compute_settings(), Ranks())
    updater.backward((weight * torch.tensor([3.0, 4.0])).sum())
    assert updater.apply(0).item() == pytest.approx(5)
    assert weight.grad is not None
    assert weight.grad.norm().item() == pytest.approx(1, abs=1e-4)


def test_accumulation_averages_micro_batches_and_starts_clean() -> None:
    weight = nn.Parameter(torch.ones(1))
    updater = Updater([weight], _optimizer(), compute_settings(accumulate=2), Ranks())
    batch = Batch(torch.tensor([1.0, 2.0, 3.0, 6.0]), ["a", "b", "c", "d"])
    weight.grad = torch.full((1,), 99.0)
    for part in updater.micro_batches(batch):
        assert len(part.clip_ids) == 2
        updater.backward((weight * part.x).mean())
    assert updater.apply(0).item() == pytest.approx(3.0)


def test_frozen_parameters_stay() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    updater = Updater(net.parameters(), _optimizer(), compute_settings(), Ranks())
    updater.backward(net(torch.ones(1, 1)).sum())
    updater.apply(0)
    assert torch.equal(net[0].weight, before)


def test_biases_that_a_batch_norm_absorbs_stay() -> None:
    net = nn.Sequential(ConvNormReLU(1, 2), nn.Flatten(), nn.Linear(2 * 16, 1))
    freeze_absorbed_biases(net)
    before = {name: value.clone() for name, value in net.named_parameters()}
    updater = Updater(net.parameters(), _optimizer(), compute_settings(), Ranks())
    updater.backward(net(torch.randn(8, 1, 4, 4)).square().mean())
    updater.apply(0)
    stayed = [name for name, value in net.named_parameters() if torch.equal(value, before[name])]
    assert stayed == ["0.conv_block.0.bias"]


def test_fp16_overflow_skips_the_update_and_lowers_the_scale() -> None:
    weight = nn.Parameter(torch.ones(1))
    updater = Updater([weight], _optimizer(), compute_settings(precision="fp16"), Ranks())
    updater.backward((weight * 1e-3).sum())
    assert updater.apply(0).item() == pytest.approx(1e-3)
    moved, scale = weight.item(), updater.state_dict()["scaler"]["scale"]
    assert moved < 1
    for _ in updater.micro_batches(Batch(torch.zeros(1), ["a"])):
        updater.backward((weight * 3e38).sum())
    assert updater.apply(1).item() == 0
    assert weight.item() == moved
    assert updater.state_dict()["scaler"]["scale"] == scale / 2


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_autocast_chooses_the_type_of_products(precision: str, dtype: torch.dtype) -> None:
    net = nn.Linear(2, 2)
    updater = Updater(
        net.parameters(), _optimizer(), compute_settings(precision=precision), Ranks()
    )
    with updater.autocast():
        assert net(torch.ones(1, 2)).dtype == dtype


def test_prepare_applies_the_switches_in_place() -> None:
    net = nn.Conv2d(4, 4, 3)
    weight = net.weight
    prepare(net, compute_settings(channels_last=True, compile=True), Ranks())
    assert net.weight is weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert net._compiled_call_impl is not None
    assert list(net.state_dict()) == ["weight", "bias"]
    assert Ema(net, 0.5).network._compiled_call_impl is None


@pytest.mark.parametrize(("precision", "kind"), [("fp32", RankBatchNorm), ("bf16", nn.BatchNorm2d)])
def test_prepare_makes_batch_norm_exact_in_fp32(precision: str, kind: type[nn.Module]) -> None:
    net = nn.Sequential(nn.BatchNorm2d(2))
    prepare(net, compute_settings(precision=precision), Ranks())
    assert type(net[0]) is kind


@pytest.mark.parametrize(("kind", "shared"), [("ranks", True), ("local", False)])
def test_batch_norm_is_shared_as_asked_for(kind: str, shared: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    prepare(net, compute_settings(batch_norm=kind), Ranks())
    assert isinstance(net[1], RankBatchNorm) == shared


def test_batch_norm_of_gpus_is_refused_without_them() -> None:
    with pytest.raises(ConfigError, match="batch_norm: sync needs GPUs; use ranks or local"):
        prepare(nn.BatchNorm2d(4), compute_settings(batch_norm="sync"), Ranks())


def test_batch_norm_of_gpus_is_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    ranks = Ranks(0, 2, torch.device("cuda"))
    for name in ("to", "compile"):
        monkeypatch.setattr(nn.Sequential, name, lambda self, *_, **__: self)
    monkeypatch.setattr(Ranks, "broadcast", lambda *_: None)
    prepare(net, compute_settings(batch_norm="sync"), ranks)
    assert isinstance(net[1], nn.SyncBatchNorm)
