"""A regressor from speech to the opening of the lips, which warms L-Net's audio encoder up.

Trained together with the pictures alone, the encoder is ignored for thousands of steps: the upper
half of the face and the reference explain most of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from models.audio_encoder import AudioEncoder
from models.checks import require_positive


@dataclass(frozen=True)
class AudioOpeningConfig:
    """Widths; they must be those of the L-Net to warm up.

    Attributes:
        base_channels: width of the encoder's first layers, doubled three times.
        channels: size of the audio descriptor.
    """

    base_channels: int = 32
    channels: int = 512

    def __post_init__(self) -> None:
        require_positive(self, "base_channels", "channels")


class AudioOpening(nn.Module):
    """L-Net's audio encoder and a linear layer."""

    def __init__(self, config: AudioOpeningConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder = AudioEncoder(
            config.base_channels, config.channels, num_deep_residual=1
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(config.channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Map mel windows ``[B, 1, 80, 16]`` in [-4, 4] to openings ``[B]`` of any unit."""
        return self.head(self.dropout(self.audio_encoder(mel).flatten(1)))[:, 0]
