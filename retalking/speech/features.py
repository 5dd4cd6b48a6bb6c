"""What a window of speech sounds like: states of a speech recogniser, and its spectrum."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from models.speech.encoder import (
    FIELD_SAMPLES,
    FIRST_CENTRE,
    SAMPLES_PER_STATE,
    SpeechEncoder,
)
from retalking.media.sound.mel import SAMPLE_RATE_HZ, log_mel
from retalking.speech.windows import STEP_SAMPLES, Hearing, cut_windows
from retalking.types import AudioClip, FloatArray

_LOUD = 0.08
"""Level (root mean square) of loud speech to which every window is brought."""
_FAINTEST = 1e-4
_LOUD_SHARE = 0.9


@torch.inference_mode()
def hear(samples: FloatArray, encoder: SpeechEncoder) -> FloatArray:
    """Listen to one window.

    How loud the whole window is does not matter.

    Args:
        samples: ``[N]`` in [-1, 1] at 16 kHz, a multiple of 320.
        encoder: see there.

    Returns:
        float32 ``[C, N / 320]``: the encoder's 288 channels, then 80 log-mel bands less the loud
        level; column ``g`` is at sample ``320 g``.
    """
    count = len(samples) // STEP_SAMPLES
    scaled = (samples * (_LOUD / max(_loud_level(samples), _FAINTEST))).astype(np.float32)
    num_states = -(-count * STEP_SAMPLES // SAMPLES_PER_STATE) + 1
    end = (num_states - 1) * SAMPLES_PER_STATE + FIELD_SAMPLES - FIRST_CENTRE
    padded = F.pad(torch.from_numpy(scaled), (FIRST_CENTRE, end - len(scaled)))
    device = next(encoder.parameters()).device
    states = encoder(padded[None].to(device))[0].cpu().numpy()
    mel = log_mel(AudioClip(scaled, SAMPLE_RATE_HZ))
    columns = mel.mel - np.quantile(mel.mel.mean(axis=0), _LOUD_SHARE)
    steps = np.arange(count) * STEP_SAMPLES
    per_column = SAMPLE_RATE_HZ / mel.steps_per_second
    return np.concatenate(
        [
            _sample(states.T, steps / SAMPLES_PER_STATE),
            _sample(columns, steps / per_column),
        ]
    )


def _loud_level(samples: FloatArray) -> float:
    """Root mean square of the steps that are louder than nine tenths of them."""
    power = np.square(samples.reshape(-1, STEP_SAMPLES), dtype=np.float64).mean(axis=1)
    return float(np.sqrt(np.quantile(power, _LOUD_SHARE)))


def _sample(rows: FloatArray, places: np.ndarray) -> FloatArray:
    """Interpolate rows ``[C, S]`` between their columns; the last one is held."""
    low = np.minimum(places.astype(np.int64), rows.shape[1] - 1)
    high = np.minimum(low + 1, rows.shape[1] - 1)
    share = (places - low).astype(np.float32)
    mixed: FloatArray = rows[:, low] * (1 - share) + rows[:, high] * share
    return mixed.astype(np.float32, copy=False)


def hear_track(clip: AudioClip, encoder: SpeechEncoder, hearing: Hearing) -> FloatArray:
    """Listen to a whole track, window by window: float32 ``[C, T]``; see ``hear``.

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
    """
    windows = cut_windows(clip, hearing)
    return np.concatenate(
        [hear(window.samples, encoder)[:, window.kept] for window in windows], axis=1
    )
