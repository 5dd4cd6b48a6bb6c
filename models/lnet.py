"""L-Net: paints the lower half of a face so that the lips fit the audio (paper 3.2 and C.2).

Legend: ``B`` batch, ``T`` frames, ``H, W`` face size (96 px in the paper), ``D`` audio descriptor.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from models.audio_encoder import AudioEncoder
from models.blocks.attention import CrossTransformer
from models.blocks.ffc import FFCResBlock
from models.blocks.layers import ConvBlock, Norm, level_channels
from models.blocks.lower_half import join_halves
from models.blocks.time_axis import flatten_frames, flatten_mel, restore_frames
from models.blocks.unet import ConditionedDecoder
from models.checks import require, require_choice, require_multiple, require_positive
from retalking.errors import ConfigError


@dataclass(frozen=True)
class LNetConfig:
    """Widths, depths and switches of L-Net; the defaults are those of the released LNet.pth.

    Attributes:
        base_channels, max_channels: width at full size, doubled per halving up to the cap.
        levels: halvings of the face.
        blocks_per_level: FFC residual blocks at each level of the decoder.
        adain_channels: hidden width of each AdaIN.
        audio_channels: size of the audio descriptor; the paper's text says 256.
        audio_base_channels: width of the audio encoder's first layers, doubled three times.
        fusion: ``attention``, or ``concat`` for the paper's ablation "w/o cross-attention".
        attention_levels: halvings after which the two faces attend to each other, counted from 0.
        attention_layers, attention_heads, attention_head_channels, attention_hidden: shape of
            each transformer.
        attention_dropout: in [0, 1), training only.
        reference_skips: whether the decoder also sees the reference's features of every size, not
            only the deepest; released and paper: no.
        paints_on_faces: whether the network adds to the upper half of the face and the lower half
            of the reference instead of painting both anew; released and paper: no.
        norm: ``layer`` as released, ``batch`` as in the paper's text.
        spectral_norm: on every convolution of the encoders and the decoder but the FFCs.
    """

    base_channels: int = 64
    max_channels: int = 512
    levels: int = 3
    blocks_per_level: int = 9
    adain_channels: int = 128
    audio_channels: int = 512
    audio_base_channels: int = 32
    fusion: Literal["attention", "concat"] = "attention"
    attention_levels: tuple[int, ...] = (2,)
    attention_layers: int = 2
    attention_heads: int = 4
    attention_head_channels: int = 64
    attention_hidden: int = 256
    attention_dropout: float = 0.0
    reference_skips: bool = False
    paints_on_faces: bool = False
    norm: Norm = "layer"
    spectral_norm: bool = True

    def __post_init__(self) -> None:
        for field in ("base_channels", "max_channels"):
            require_multiple(self, field, 8, "the FFC halves three quarters of the channels")
        require_positive(self, "levels", "blocks_per_level", "adain_channels", "audio_channels")
        require_positive(self, "audio_base_channels", "attention_layers", "attention_heads")
        require_positive(self, "attention_head_channels", "attention_hidden")
        require_choice(self, "fusion", ("attention", "concat"))
        require_choice(self, "norm", ("layer", "batch"))
        fits = all(level in range(self.levels) for level in self.attention_levels)
        require(fits, self, "attention_levels", f"numbers from 0 to {self.levels - 1}")
        require(0 <= self.attention_dropout < 1, self, "attention_dropout", "a share in [0, 1)")

    @property
    def size_divisor(self) -> int:
        """Face sizes must be multiples of this."""
        return int(2**self.levels)


class VisualEncoder(nn.Module):
    """Encodes the masked face and the reference, and lets them attend to each other."""

    def __init__(self, config: LNetConfig, channels: list[int]) -> None:
        super().__init__()
        make_block = functools.partial(
            ConvBlock, norm=config.norm, spectral_norm=config.spectral_norm
        )
        self.num_levels = config.levels
        self.reference_skips = config.reference_skips
        self.attention_levels = config.attention_levels if config.fusion == "attention" else ()
        for face in ("inp", "ref"):
            self.add_module(f"first_{face}", make_block(3, channels[0], kernel_size=7))
            for level in range(config.levels):
                width_in, width = channels[level : level + 2]
                block = make_block(width_in, width, resample="down")
                self.add_module(f"{face}_down{level}", block)
        for level in self.attention_levels:
            transformer = CrossTransformer(
                channels[level + 1],
                num_layers=config.attention_layers,
                num_heads=config.attention_heads,
                head_channels=config.attention_head_channels,
                hidden=config.attention_hidden,
                dropout=config.attention_dropout,
            )
            self.add_module(f"ca{level}", transformer)

    def forward(self, masked: Tensor, reference: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode two faces ``[B, 3, H, W]``.

        Returns:
            Both faces' deepest features, concatenated, and the masked face's features of every
            larger size, full size first, with ``reference_skips`` followed by the reference's.
        """
        inp = self.get_submodule("first_inp")(masked)
        ref = self.get_submodule("first_ref")(reference)
        skips = []
        for level in range(self.num_levels):
            skips.append(torch.cat([inp, ref], dim=1) if self.reference_skips else inp)
            inp = self.get_submodule(f"inp_down{level}")(inp)
            ref = self.get_submodule(f"ref_down{level}")(ref)
            if level in self.attention_levels:
                inp = self.get_submodule(f"ca{level}")(inp, ref)
        return torch.cat([inp, ref], dim=1), skips


class LNet(nn.Module):
    """Lip-sync network: mel window, masked face and reference to a face that speaks."""

    BLOCKS: ClassVar = (ConvBlock, CrossTransformer, FFCResBlock)
    """Parts that training may compute twice to save memory."""

    def __init__(self, config: LNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LNetConfig()
        channels = level_channels(config.base_channels, config.max_channels, config.levels)
        self.encoder = VisualEncoder(config, channels)
        self.decoder = ConditionedDecoder(
            2 * channels[-1],
            channels[:-1],
            make_block=lambda width: FFCResBlock(
                width, config.audio_channels, config.adain_channels
            ),
            num_blocks=config.blocks_per_level,
            out_channels=3,
            activation=nn.Identity() if config.paints_on_faces else nn.Sigmoid(),
            faces_per_skip=2 if config.reference_skips else 1,
            norm=config.norm,
            spectral_norm=config.spectral_norm,
        )
        self.audio_encoder = AudioEncoder(
            config.audio_base_channels, config.audio_channels, num_deep_residual=1
        )

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Synthesise faces; the released weights want BGR.

        Args:
            mel: ``[B, 1, 80, 16]`` in [-4, 4], or ``[B, T, 1, 80, 16]``.
            faces: ``[B, 6, H, W]`` in [0, 1], or ``[B, 6, T, H, W]``: the current face with its
                lower half zero, then the reference.

        Returns:
            ``[B, 3, H, W]`` in [0, 1], or ``[B, 3, T, H, W]``.

        Raises:
            ConfigError: the face size does not fit.
        """
        divisor = self.config.size_divisor
        if faces.shape[-1] % divisor or faces.shape[-2] % divisor:
            size = "x".join(str(n) for n in faces.shape[-2:])
            raise ConfigError(f"L-Net: faces of {size} px, expected multiples of {divisor}")
        if faces.ndim == 5:
            out = self(flatten_mel(mel), flatten_frames(faces))
            return restore_frames(out, faces.shape[2])
        descriptor = self.audio_encoder(mel).flatten(1)
        masked, reference = faces.split(3, dim=1)
        features, skips = self.encoder(masked, reference)
        painted = self.decoder(features, skips, descriptor)
        if not self.config.paints_on_faces:
            return painted
        painted = join_halves(masked, reference) + painted
        # In training a picture out of range is still told the way back.
        return painted if self.training else painted.clamp(0, 1)
