"""Two networks that say whether lips and speech belong together.

``SyncExpert`` is Wav2Lip's lip-sync expert (Prajwal et al. 2020), the training loss of L-Net and
E-Net. ``SyncNet`` is that of Chung and Zisserman (2016), which measures LSE-D and LSE-C. Parameter
names are those of ``lipsync_expert.pth`` and ``syncnet_v2.model``.

Legend: ``B`` batch, ``T`` frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.audio_encoder import AudioEncoder
from models.blocks.layers import ConvNormReLU
from models.checks import require_positive


@dataclass(frozen=True)
class SyncExpertConfig:
    """Widths of the expert; the defaults are those of lipsync_expert.pth.

    Attributes:
        base_channels: width of the first layers of both encoders, doubled four times.
        embedding_channels: size of the two vectors that are compared.
        num_frames: frames ``T`` of a window; 5 at 25 fps match a 0.2 s mel window.
    """

    base_channels: int = 32
    embedding_channels: int = 512
    num_frames: int = 5

    def __post_init__(self) -> None:
        require_positive(self, "base_channels", "embedding_channels", "num_frames")


class FaceEncoder(nn.Sequential):
    """Lower face halves ``[B, 3 T, 48, 96]`` to a vector ``[B, D, 1, 1]``."""

    def __init__(self, in_channels: int, base: int, out_channels: int) -> None:
        deep = 16 * base
        plan = [(4 * base, 3), (8 * base, 2), (deep, 2)]
        layers: list[nn.Module] = [
            ConvNormReLU(in_channels, base, kernel_size=7, padding=3),
            ConvNormReLU(base, 2 * base, kernel_size=5, stride=(1, 2)),
            *(ConvNormReLU(2 * base, 2 * base, residual=True) for _ in range(2)),
        ]
        width = 2 * base
        for channels, num_residual in plan:
            layers.append(ConvNormReLU(width, channels, stride=2))
            layers.extend(
                ConvNormReLU(channels, channels, residual=True) for _ in range(num_residual)
            )
            width = channels
        layers.append(ConvNormReLU(deep, deep, stride=2))
        layers.append(ConvNormReLU(deep, out_channels, padding=0))
        layers.append(ConvNormReLU(out_channels, out_channels, kernel_size=1, padding=0))
        super().__init__(*layers)


class SyncExpert(nn.Module):
    """Lip-sync expert: embeds five lower face halves and a mel window into one space."""

    def __init__(self, config: SyncExpertConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SyncExpertConfig()
        base, size = config.base_channels, config.embedding_channels
        self.face_encoder = FaceEncoder(3 * config.num_frames, base, size)
        self.audio_encoder = AudioEncoder(base, size, num_deep_residual=2)

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed matching windows.

        Args:
            mel: ``[B, 1, 80, 16]`` in [-4, 4].
            faces: ``[B, 15, 48, 96]`` in [0, 1], the lower halves of five 96 px faces, BGR for
                the released weights, channels of the first frame first.

        Returns:
            Audio and face embeddings ``[B, D]``, not negative, of unit length; their dot product
            is the cosine similarity in [0, 1] (paper equation 8).
        """
        audio = self.audio_encoder(mel).flatten(1)
        face = self.face_encoder(faces).flatten(1)
        return F.normalize(audio, dim=1), F.normalize(face, dim=1)


class SyncNet(nn.Module):
    """Two-stream network whose distance falls where lips and speech agree.

    The layer sizes are fixed by the released weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv(2, 1, 64, 3, padding=1),
            nn.MaxPool2d(1, stride=1),  # no effect; keeps the numbering of the official keys
            *_conv(2, 64, 192, 3, padding=1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_conv(2, 192, 384, 3, padding=1),
            *_conv(2, 384, 256, 3, padding=1),
            *_conv(2, 256, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            *_conv(2, 256, 512, (5, 4)),
        )
        self.netfcaud = _embedding_head()
        pool: dict[str, Any] = {"kernel_size": (1, 3, 3), "stride": (1, 2, 2)}
        self.netcnnlip = nn.Sequential(
            *_conv(3, 3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d(**pool),
            *_conv(3, 96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d(**pool, padding=(0, 1, 1)),
            *_conv(3, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv(3, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv(3, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d(**pool),
            *_conv(3, 256, 512, (1, 6, 6)),
        )
        self.netfclip = _embedding_head()

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        """Map MFCC windows ``[B, 1, 13, 20]`` (0.2 s at 100 Hz) to ``[B, 1024]``."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def embed_lips(self, faces: Tensor) -> Tensor:
        """Map windows ``[B, 3, 5, 224, 224]``, BGR in 0..255, to ``[B, 1024]``."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))


def _conv(
    num_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Build a 2-D or 3-D convolution, batch norm and ReLU."""
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if num_dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return (
        conv(in_channels, out_channels, kernel_size, stride, padding),
        norm(out_channels),
        nn.ReLU(inplace=True),
    )


def _embedding_head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True), nn.Linear(512, 1024)
    )
