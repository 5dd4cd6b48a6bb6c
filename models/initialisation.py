"""The network that a training begins with: random, ours, or an official release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from models import weights
from retalking.errors import ConfigError

Network = TypeVar("Network", bound=nn.Module)


def describe_base(init: Path | None) -> dict[str, str]:
    """Say which weights a network was begun with, for the metadata of its own files.

    Args:
        init: file of these; ``None`` for random ones.

    Returns:
        ``base``, the file's name, and ``base_sha256``; nothing without a file.
    """
    if init is None:
        return {}
    digest = hashlib.sha256()
    with init.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"base": init.name, "base_sha256": digest.hexdigest()}


def build(
    network_class: type[Network],
    config: Any,
    init: Path | None,
    official_name: str,
    lnet: Path | None = None,
) -> Network:
    """Make a network, or load the weights to finetune.

    Args:
        network_class: takes its config as the only argument.
        config: of the network.
        init: weights of the same widths, ours or official; ``None`` draws them at random.
        official_name: key of ``weights.OFFICIAL_FORMATS``.
        lnet: LNet.pth or our own L-Net, for an official ENet.pth.

    Raises:
        ConfigError: the weights belong to a network of another config.
        WeightsError: the file is absent or does not fit.
    """
    if init is None:
        return network_class(config)
    network = weights.load_any(init, network_class, official_name, lnet)
    if network.config != config:
        # A released file has the widths of the paper, ours those of its training.
        differing = [
            f"{name} {value!r}"
            for name, value in vars(cast(Any, network.config)).items()
            if value != getattr(config, name)
        ]
        raise ConfigError(f"init: {init} has another model config: {', '.join(differing)}")
    return network
