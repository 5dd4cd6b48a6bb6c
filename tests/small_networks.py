"""Weight files of small networks with random weights, for trying out the chain."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from models import weights
from models.dnet import DNet, DNetConfig
from models.enet import ENet, ENetConfig
from models.lnet import LNetConfig

DNET = DNetConfig(
    descriptor_channels=64,
    adain_channels=32,
    warping_base_channels=8,
    warping_max_channels=32,
    editing_base_channels=8,
    editing_max_channels=32,
    editing_blocks=1,
)
LNET = LNetConfig(
    base_channels=16,
    max_channels=64,
    blocks_per_level=1,
    adain_channels=32,
    audio_channels=64,
    audio_base_channels=8,
    attention_head_channels=16,
    attention_hidden=64,
)
ENET = ENetConfig(
    upsample_channels=(16, 8),
    style_channels=64,
    encoder_channels=(8, 8, 16, 16, 16, 16, 16),
    lnet=LNET,
)


def write_small_networks(folder: Path) -> dict[str, Path]:
    """Write ``dnet``, ``enet`` and its ``lnet``; returns the files by these names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dnet, enet = DNet(DNET), ENet(ENET)
        for network in (dnet, enet):
            _spread(network)
    files = {name: folder / f"{name}.safetensors" for name in ("dnet", "enet", "lnet")}
    for path, network in zip(files.values(), (dnet, enet, enet.low_res), strict=True):
        weights.save(path, network)
    return files


@torch.no_grad()
def _spread(network: nn.Module) -> None:
    """Let signals pass: fresh weights of some layers are zero."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(torch.randn(parameter.shape) * parameter[0].numel() ** -0.5)
