"""The networks of the paper at small widths, with inputs that fit."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from models.discriminator import DiscriminatorConfig, PatchDiscriminator
from models.dnet import DNet, DNetConfig
from models.enet import ENet, ENetConfig
from models.lnet import LNet, LNetConfig
from models.syncnet import SyncExpert, SyncExpertConfig

DNET = DNetConfig(
    descriptor_channels=16,
    adain_channels=8,
    warping_base_channels=8,
    warping_max_channels=16,
    editing_base_channels=8,
    editing_max_channels=16,
    editing_blocks=1,
)


LNET = LNetConfig(
    base_channels=8,
    max_channels=32,
    blocks_per_level=1,
    adain_channels=8,
    audio_channels=16,
    audio_base_channels=4,
    attention_layers=1,
    attention_heads=2,
    attention_head_channels=8,
    attention_hidden=16,
)


ENET = ENetConfig(
    low_res_size_px=32,
    upsample_channels=(16, 8),
    style_channels=16,
    encoder_size_px=64,
    encoder_channels=(8, 8, 16),
    lnet=LNET,
)


def dnet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.rand(batch, 3, 64, 64) * 2 - 1, torch.randn(batch, 73, 27)


def lnet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 6, 32, 32)


def enet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    reference = torch.rand(batch, 3, 128, 128)
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 3, 128, 128), reference


def expert_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 15, 48, 96)


NETWORKS = {
    "dnet": (lambda: DNet(DNET), dnet_inputs),
    "dnet-chained": (lambda: DNet(dataclasses.replace(DNET, chained_blocks=True)), dnet_inputs),
    "lnet": (lambda: LNet(LNET), lnet_inputs),
    "lnet-concat": (lambda: LNet(dataclasses.replace(LNET, fusion="concat")), lnet_inputs),
    "lnet-batch": (
        lambda: LNet(dataclasses.replace(LNET, norm="batch", spectral_norm=False)),
        lnet_inputs,
    ),
    "enet": (lambda: ENet(ENET), enet_inputs),
    "expert": (lambda: SyncExpert(SyncExpertConfig(4, 16)), expert_inputs),
    "discriminator": (
        lambda: PatchDiscriminator(DiscriminatorConfig(base_channels=4)),
        lambda: (torch.rand(2, 3, 96, 96),),
    ),
}


def all_outputs(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    out = network(*inputs)
    return [out] if isinstance(out, Tensor) else list(out)
