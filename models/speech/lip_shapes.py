"""From what is heard to the shape of the lips: dilated convolutions, several at once.

Every head is a network of its own (start, dropout); their mean errs less than any of them, and
where they disagree, the speech does not say what the lips do.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.checks import require_positive

NUM_SHAPES = 5


@dataclass(frozen=True)
class LipShapeConfig:
    """Sizes of the network.

    Attributes:
        in_channels: features per step.
        channels: width of a head.
        dilations: of the residual convolutions; two steps of context on both sides of the first.
        num_heads: networks whose mean is the answer.
        dropout: of the hidden channels.
        channel_dropout: of the features, each for a whole sample.
    """

    in_channels: int = 368
    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 2, 1)
    num_heads: int = 4
    dropout: float = 0.5
    channel_dropout: float = 0.4

    def __post_init__(self) -> None:
        require_positive(self, "in_channels", "channels", "num_heads")


class LipGuess(NamedTuple):
    """Shapes with the variance that is left, both ``[B, 5, T]`` in standard deviations (squared).

    Attributes:
        mean: the expected shape, nearer to 0 the less the speech says.
        variance: expected square of the error; 1 if the speech says nothing.
    """

    mean: Tensor
    variance: Tensor


class LipShapeNet(nn.Module):
    """Features of speech to lip shapes, on the same grid.

    Attributes:
        feature_mean: ``[C]`` of the features, set before training.
        feature_spread: ``[C]`` likewise.
        gain: ``[5]``, factor that gives the mean guess the spread of true lips, set after it.
        closed: ``[5]``, shape of closed lips.
    """

    feature_mean: Tensor
    feature_spread: Tensor
    gain: Tensor
    closed: Tensor

    def __init__(self, config: LipShapeConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.in_channels))
        self.register_buffer("feature_spread", torch.ones(config.in_channels))
        self.register_buffer("gain", torch.ones(NUM_SHAPES))
        self.register_buffer("closed", torch.zeros(NUM_SHAPES))
        self.heads = nn.ModuleList(_Head(config) for _ in range(config.num_heads))

    def forward(self, heard: Tensor) -> LipGuess:
        """Guess shapes from features ``[B, C, T]``."""
        each = self.guess_each(heard)
        mean = each.mean.mean(dim=0)
        spread = each.mean.var(dim=0, correction=0)
        return LipGuess(mean, each.variance.mean(dim=0) + spread)

    def guess_each(self, heard: Tensor) -> LipGuess:
        """Return the guesses of all heads, ``[H, B, 5, T]``."""
        normal = self._normalise(heard)
        guesses = torch.stack([head(normal) for head in self.heads])
        mean, spread = guesses.split(NUM_SHAPES, dim=2)
        return LipGuess(mean, F.softplus(spread))

    def listen(self, heard: Tensor) -> Tensor:
        """Return what the last layers of all heads read, ``[H, B, D, T]``."""
        normal = self._normalise(heard)
        return torch.stack([typing.cast(_Head, head).listen(normal) for head in self.heads])

    def _normalise(self, heard: Tensor) -> Tensor:
        return (heard - self.feature_mean[:, None]) / self.feature_spread[:, None]


class _Head(nn.Module):
    def __init__(self, config: LipShapeConfig) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.Dropout1d(config.channel_dropout),
            nn.Conv1d(config.in_channels, config.channels, 3, padding=1),
            nn.GELU(),
        )
        self.blocks = nn.ModuleList(
            _Block(config.channels, dilation, config.dropout) for dilation in config.dilations
        )
        self.shapes = nn.Conv1d(config.channels, NUM_SHAPES, 1)
        self.spread = nn.Conv1d(config.channels, NUM_SHAPES, 1)

    def listen(self, heard: Tensor) -> Tensor:
        hidden: Tensor = self.enter(heard)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden

    def forward(self, heard: Tensor) -> Tensor:
        hidden = self.listen(heard)
        # How sure it is must not change what it says.
        return torch.cat([self.shapes(hidden), self.spread(hidden.detach())], dim=1)


class _Block(nn.Sequential):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__(
            nn.GroupNorm(8, channels),
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(channels, channels, 1),
        )
