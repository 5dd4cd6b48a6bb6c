"""The discriminator of E-Net's adversarial loss.

The paper cites pix2pix (Isola et al. 2017) and gives no layout, so this is its PatchGAN: a small
convolutional network that judges overlapping patches. Train it on the logits (equation 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from models import initialisation
from models.blocks.spectral_norm import SpectralNormConv2d
from models.checks import require_choice, require_positive

LEAKY_SLOPE = 0.2


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Widths of the discriminator; the defaults give pix2pix's patches of 70x70 pixels.

    Attributes:
        in_channels: 3 for the face alone, 6 for the face with its reference.
        base_channels: width of the first layer, doubled per layer up to eight times.
        num_layers: layers of stride 2.
        norm: ``instance`` as pix2pix has it at batch size 1, or ``spectral``, which is steadier.
    """

    in_channels: int = 3
    base_channels: int = 64
    num_layers: int = 3
    norm: Literal["instance", "spectral"] = "instance"

    def __post_init__(self) -> None:
        require_positive(self, "in_channels", "base_channels", "num_layers")
        require_choice(self, "norm", ("instance", "spectral"))


class PatchDiscriminator(nn.Module):
    """Says per patch how real a face looks."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DiscriminatorConfig()
        conv = SpectralNormConv2d if config.norm == "spectral" else nn.Conv2d
        layers: list[nn.Module] = []
        in_channels = config.in_channels
        for index in range(config.num_layers + 1):
            channels = config.base_channels * min(2**index, 8)
            stride = 2 if index < config.num_layers else 1
            layers.append(conv(in_channels, channels, 4, stride=stride, padding=1))
            if config.norm == "instance" and index > 0:
                layers.append(nn.InstanceNorm2d(channels))
            layers.append(nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
            in_channels = channels
        layers.append(conv(in_channels, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, faces: Tensor) -> Tensor:
        """Map faces ``[B, C, S, S]`` in [0, 1] to logits ``[B, 1, S', S']``, positive = real."""
        return self.layers(faces)


def critic_path(generator: Path) -> Path:
    """Return the file of the discriminator that was saved with weights of a generator."""
    return generator.with_name(generator.name.replace("weights-", "critic-", 1))


def open_critic(
    config: DiscriminatorConfig, file: Path | None, generator: Path | None
) -> PatchDiscriminator:
    """Make a discriminator, with the weights that it begins with.

    Args:
        config: its widths.
        file: weights; ``None`` takes those beside ``generator``, if there are any.
        generator: weights that the generator begins with.

    Raises:
        ConfigError: the weights are of other widths.
        WeightsError: a file is absent or does not fit.
    """
    if file is None and generator is not None and critic_path(generator).is_file():
        file = critic_path(generator)
    return initialisation.build(PatchDiscriminator, config, file, "discriminator")
