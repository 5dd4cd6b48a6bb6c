"""Networks of a few weights for tests of weight files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retalking.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class StemConfig:
    kernels_px: tuple[int, ...] = (3, 1)
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class TinyConfig:
    width: int = 4
    stem: StemConfig = StemConfig()
    range: tuple[int, float] = (0, 1.0)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"width: expected at least 1, got {self.width}")


CONFIG = TinyConfig(width=5, stem=StemConfig((5, 3, 1), "blue"), range=(-1, 0.5))
"""Every value differs from its default."""


class TinyNet(nn.Module):
    """Convolution and batch norm, so that buffers and counters are part of the game."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(3, config.width, config.stem.kernels_px[0])
        self.norm = nn.BatchNorm2d(config.width)


class TinyENet(nn.Module):
    """Owns an L-Net the way E-Net does."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.low_res = TinyNet(config)
        self.rgb = nn.Linear(2, config.width)


class PlainNet(nn.Module):
    """A network of others: no config."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)


def random_state(network: nn.Module) -> dict[str, Tensor]:
    return {
        k: torch.rand(v.shape) if v.is_floating_point() else torch.tensor(7)
        for k, v in network.state_dict().items()
    }


def assert_holds(network: nn.Module, state: dict[str, Tensor]) -> None:
    found = network.state_dict()
    assert set(found) == set(state)
    for key, value in state.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


def saved(path: Path, content: Any, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"module." + k: v for k, v in state.items()}
