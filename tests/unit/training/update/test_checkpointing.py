"""Gradient checkpointing changes no bit of results, gradients and buffers, and keeps less."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from models.dnet import DNet, DNetConfig
from models.enet import ENet, ENetConfig
from models.lnet import LNet, LNetConfig
from retalking.errors import ConfigError
from retalking.training.distributed import Ranks, share_batch_norm
from retalking.training.update.checkpointing import checkpoint_blocks
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import prepare
from tests.unit.training.update.test_optimization import compute_settings

SMALL = LNetConfig(
    base_channels=8,
    max_channels=8,
    levels=2,
    blocks_per_level=2,
    adain_channels=4,
    audio_channels=8,
    audio_base_channels=2,
    attention_levels=(1,),
    attention_heads=1,
    attention_head_channels=4,
    attention_hidden=8,
    attention_dropout=0.5,  # the repetition must draw the same
)


def _lnet() -> tuple[nn.Module, tuple[Any, ...]]:
    return LNet(SMALL), (torch.randn(3, 1, 80, 16), torch.rand(3, 6, 16, 16))


def _dnet() -> tuple[nn.Module, tuple[Any, ...]]:
    config = DNetConfig(
        descriptor_channels=8,
        adain_channels=4,
        warping_base_channels=4,
        warping_max_channels=8,
        warping_down_levels=2,
        warping_up_levels=1,
        editing_base_channels=4,
        editing_max_channels=8,
        editing_levels=2,
        spectral_norm=True,
    )
    return DNet(config), (torch.rand(3, 3, 16, 16), torch.randn(3, 73, 27))


def _enet() -> tuple[nn.Module, tuple[Any, ...]]:
    config = ENetConfig(
        low_res_size_px=16,
        upsample_channels=(8, 8),
        style_channels=8,
        encoder_size_px=16,
        encoder_channels=(8, 8, 8),
        lnet=SMALL,
    )
    net = ENet(config)
    net.low_res.requires_grad_(False)
    face = torch.rand(3, 3, 64, 64)
    return net, (torch.randn(3, 1, 80, 16), face, face.flip(2), torch.arange(3))


NETWORKS = {"dnet": _dnet, "enet": _enet, "lnet": _lnet}


def _train_twice(net: nn.Module, inputs: tuple[Any, ...]) -> tuple[dict[str, Tensor], int]:
    """Return outputs, gradients and buffers after two steps, and how much the second one kept."""
    net.train()
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage()._cdata] = value
        return value

    for _ in range(2):
        torch.manual_seed(5)
        kept.clear()
        with saved_tensors_hooks(keep, lambda value: value):
            made = net(*inputs)
        made = made if isinstance(made, Tensor) else made[-1] if isinstance(net, DNet) else made[0]
        size = sum(value.untyped_storage().nbytes() for value in kept.values())
        for parameter in net.parameters():
            parameter.grad = None
        (made * torch.linspace(-1, 1, made.shape[-1])).sum().backward(retain_graph=True)
        made.square().sum().backward()  # a second way back, as the weighing of E-Net's game takes
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter.sub_(1e-3 * parameter.grad)
    found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    return {"made": made.detach(), **found, **dict(net.named_buffers())}, size


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bits_with_less_memory(name: str) -> None:
    torch.manual_seed(1)
    net, inputs = NETWORKS[name]()
    share_batch_norm(net)
    other = copy.deepcopy(net)
    assert checkpoint_blocks(other) > 4
    wanted, size = _train_twice(net, inputs)
    found, smaller = _train_twice(other, inputs)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key
    assert smaller < 0.7 * size


def test_the_averaged_copy_runs_its_own_blocks() -> None:
    torch.manual_seed(1)
    net, inputs = _lnet()
    checkpoint_blocks(net)
    average = Ema(net, 0.9).network
    before = average(*inputs)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert torch.equal(average(*inputs), before)


def test_it_does_not_go_together_with_compiling() -> None:
    with pytest.raises(ConfigError, match=r"compute\.checkpointing and compute\.compile"):
        prepare(_lnet()[0], compute_settings(checkpointing=True, compile=True), Ranks())


def test_the_switch_reaches_the_blocks() -> None:
    net, _ = _lnet()
    prepare(net, compute_settings(checkpointing=True), Ranks())
    blocks = [module for module in net.modules() if isinstance(module, LNet.BLOCKS)]
    assert all("forward" in vars(block) for block in blocks)
