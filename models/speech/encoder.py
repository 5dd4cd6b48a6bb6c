"""Moonshine's speech encoder: what is said, 41.67 times a second.

The encoder of Moonshine tiny (Jeffries et al., "Moonshine: Speech Recognition for Live
Transcription and Voice Commands", 2024; MIT, see ``checkpoints/lite/LICENSE-moonshine``), rebuilt
from its published graph: three convolutions on the waveform, transformer layers with rotary
positions. Sizes and constants are the released network's. Its later layers know words; what lips
do is read from the earlier ones, so the network may be cut short.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retalking.errors import ConfigError

SAMPLES_PER_STATE = 384
"""Stride of the three convolutions: 24 ms at 16 kHz."""
FIRST_CENTRE = 447
"""Sample in the middle of what the first state's convolutions see: it reads 0 to 894."""
FIELD_SAMPLES = 895
"""Samples that the convolutions need for one state."""
CHANNELS = 288
_HEADS, _HEAD_CHANNELS, _TURNED_CHANNELS = 8, 36, 32
_HIDDEN = 1152


@dataclass(frozen=True)
class SpeechEncoderConfig:
    """How much of the released network there is.

    Attributes:
        num_layers: the first so many of its six transformer layers. The normalisation after the
            sixth is left out: whoever reads the states normalises them anyway.
    """

    num_layers: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.num_layers <= 6:
            raise ConfigError(f"num_layers: got {self.num_layers}, expected 1 to 6")


class SpeechEncoder(nn.Module):
    """Waveform to states of a speech recogniser."""

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(1, CHANNELS, 127, stride=64, bias=False)
        self.groupnorm = nn.GroupNorm(1, CHANNELS)
        self.conv2 = nn.Conv1d(CHANNELS, 2 * CHANNELS, 7, stride=3)
        self.conv3 = nn.Conv1d(2 * CHANNELS, CHANNELS, 3, stride=2)
        self.layers = nn.ModuleList(_Layer() for _ in range(config.num_layers))

    def forward(self, samples: Tensor) -> Tensor:
        """Listen to speech at 16 kHz.

        Args:
            samples: ``[B, N]`` in [-1, 1], at least ``FIELD_SAMPLES`` of them. The level matters
                little: the first normalisation takes it out, over the whole of N.

        Returns:
            ``[B, S, 288]``, state ``s`` centred on sample ``FIRST_CENTRE + 384 s``.
        """
        states: Tensor = self.sounds(samples)
        turn = rotation(states)
        for layer in self.layers:
            states = layer(states, turn)
        return states

    def sounds(self, samples: Tensor) -> Tensor:
        """Return what the convolutions make of the waveform, ``[B, S, 288]``."""
        hidden = self.groupnorm(torch.tanh(self.conv1(samples[:, None])))
        hidden = F.gelu(self.conv3(F.gelu(self.conv2(hidden))))
        return hidden.transpose(1, 2)


def rotation(states: Tensor) -> Tensor:
    """Cosine and sine of the rotary positions of states ``[B, S, 288]``: ``[2, S, 32]``."""
    steps = torch.arange(states.shape[1], dtype=torch.float32, device=states.device)
    rates = 10_000 ** -(torch.arange(0, _TURNED_CHANNELS, 2, device=states.device) / 32)
    angles = (steps[:, None] * rates).repeat_interleave(2, dim=1)
    return torch.stack([angles.cos(), angles.sin()]).to(states.dtype)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(CHANNELS, bias=False)
        self.self_attn = _Attention()
        self.post_attention_layernorm = nn.LayerNorm(CHANNELS, bias=False)
        self.mlp = _Mlp()

    def forward(self, states: Tensor, turn: Tensor) -> Tensor:
        states = states + self.self_attn(self.input_layernorm(states), turn)
        summed: Tensor = states + self.mlp(self.post_attention_layernorm(states))
        return summed


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(CHANNELS, CHANNELS, bias=False) for _ in range(4)
        )

    def forward(self, states: Tensor, turn: Tensor) -> Tensor:
        batch, length, _ = states.shape
        query, key, value = (
            projection(states).view(batch, length, _HEADS, _HEAD_CHANNELS).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        seen = F.scaled_dot_product_attention(_turned(query, turn), _turned(key, turn), value)
        mixed: Tensor = self.o_proj(seen.transpose(1, 2).reshape(batch, length, CHANNELS))
        return mixed


def _turned(heads: Tensor, turn: Tensor) -> Tensor:
    """Turn the first 32 of 36 channels, pair by pair, by the angle of their position."""
    turned, kept = heads[..., :_TURNED_CHANNELS], heads[..., _TURNED_CHANNELS:]
    even, odd = turned[..., 0::2], turned[..., 1::2]
    across = torch.stack([-odd, even], dim=-1).flatten(-2)
    return torch.cat([turned * turn[0] + across * turn[1], kept], dim=-1)


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(CHANNELS, _HIDDEN), nn.Linear(_HIDDEN, CHANNELS)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(states)))
        return out
