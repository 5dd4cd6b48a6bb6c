"""The inside of a mouth as a field: from a place between the lips to its colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.checks import require_positive

_OCTAVES = 5
_START = -0.7  # logarithm of the colour of a mouth that nothing is known of


@dataclass(frozen=True)
class MouthInsideConfig:
    """Sizes of the network.

    Attributes:
        channels: width of the layers.
        person_channels: size of what tells people's mouths apart.
        moment_channels: size of what tells moments of a person apart: light, tongue.
    """

    channels: int = 64
    person_channels: int = 16
    moment_channels: int = 6

    def __post_init__(self) -> None:
        require_positive(self, "channels", "person_channels", "moment_channels")


class MouthInsideNet(nn.Module):
    """Paints teeth, tongue and darkness, the same on both sides.

    Attributes:
        person: ``[P]``, code of the mouth that is painted where none is named.
    """

    person: Tensor

    def __init__(self, config: MouthInsideConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("person", torch.zeros(config.person_channels))
        waves = 2 * 2 * _OCTAVES
        codes = config.person_channels + config.moment_channels
        width = config.channels
        self.layers = nn.Sequential(
            nn.Linear(7 + waves + 3 + codes, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 3),
        )

    def forward(self, places: Tensor, skin: Tensor, codes: Tensor | None = None) -> Tensor:
        """Tell the colours of places.

        Args:
            places: ``[N, 5]`` in shape units: how far right of the middle of the mouth, how far
                below the upper lip, height of the gap there; opening of the lips in the middle,
                distance of the corners.
            skin: ``[N, 3]``, colour of the skin around the lips over its mean.
            codes: ``[N, P + M]``; by default those of ``person`` at a usual moment.

        Returns:
            ``[N, 3]``, colours over the skin's mean; positive.
        """
        if codes is None:
            moment = self.person.new_zeros(self.config.moment_channels)
            codes = torch.cat([self.person, moment]).expand(len(places), -1)
        right, below, height, opening, width = places.T
        aside = right.abs()
        sizes = [aside / (width / 2), aside * 2, below * 6, height * 3, (height - below) * 6]
        sizes += [opening * 3, width]
        octaves = torch.pi * 2.0 ** torch.arange(1, _OCTAVES + 1, device=places.device)
        turns = (torch.stack([aside, below], dim=1)[..., None] * octaves).flatten(1)
        inputs = [torch.stack(sizes, dim=1), turns.sin(), turns.cos(), skin - 1, codes]
        colors: Tensor = torch.exp(self.layers(torch.cat(inputs, dim=1)) + _START)
        return colors
