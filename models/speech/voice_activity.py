"""Silero's voice activity network: is somebody speaking, 31.25 times a second.

The 16 kHz network of silero-vad 6.2.3 (Silero Team; MIT, see ``checkpoints/lite/LICENSE-silero``),
rebuilt from the layers that its package publishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK_SAMPLES = 512
"""Samples of one answer: 32 ms at 16 kHz."""
CONTEXT_SAMPLES = 64
"""Samples before a block that it hears as well."""
_PAD, _FFT, _HOP, _BINS = 64, 256, 128, 129

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class VoiceActivityConfig:
    """The network comes in one size."""


class VoiceActivityNet(nn.Module):
    """Blocks of 32 ms to the probability of speech, remembering what was before."""

    def __init__(self, config: VoiceActivityConfig) -> None:
        super().__init__()
        self.config = config
        self.stft_conv = nn.Conv1d(1, 2 * _BINS, _FFT, stride=_HOP, bias=False)
        self.conv1 = nn.Conv1d(_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, blocks: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Listen to consecutive blocks.

        Args:
            blocks: ``[S, CONTEXT_SAMPLES + BLOCK_SAMPLES]`` in [-1, 1] at 16 kHz; each begins with
                the last samples of the one before, or silence.
            state: what an earlier call returned; ``None`` at the beginning.

        Returns:
            Probability of speech ``[S]`` in [0, 1], and the state after the last block.
        """
        waves = self.stft_conv(F.pad(blocks, (0, _PAD), mode="reflect")[:, None])
        hidden = torch.hypot(waves[:, :_BINS], waves[:, _BINS:])
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            hidden = F.relu(conv(hidden))
        remembered, state = self.lstm(hidden.squeeze(-1)[None], state)
        logits = self.final_conv(F.relu(remembered).transpose(1, 2))
        return torch.sigmoid(logits)[0, 0], state
