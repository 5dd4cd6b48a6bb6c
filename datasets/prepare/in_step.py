"""Bring speech and lips of a clip in step, or leave the clip out.

What measures the offset is a setting: loudness (``sync_offset``), which sees gross ones, or the
network that tells lips from speech, which sees those of one to three frames that spoil an expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from datasets.prepare.settings import PreparationSettings
from datasets.prepare.sync_offset import estimate_offset
from datasets.store.format import FRAME_RATE
from models import weights
from models.speech.encoder import SpeechEncoder
from models.speech.lip_shapes import LipShapeNet
from retalking.errors import MediaError
from retalking.media.sound.mel import MelSpectrogram
from retalking.metrics.speech_fit import fit_speech
from retalking.mouth.warp.lip_measures import OPENING
from retalking.speech.features import hear_track
from retalking.speech.lip_shapes import ENCODER_PATH, LIP_SHAPES_PATH
from retalking.speech.windows import STEP_S, Hearing
from retalking.types import AudioClip, Float64Array, FloatArray

_SYNC_TOLERANCE_S = 0.12
"""Loudness places the lips to two or three frames; a smaller offset is not evidence."""
_BEYOND_LIMIT_S = 0.1  # how far past the limit offsets are looked for, to tell that it is passed
_LEAST_FIT = 0.3
"""Correlation from which the network's offset is taken for more than chance."""


@dataclass(frozen=True)
class Speech:
    """The sound of a video.

    Attributes:
        mel: its spectrogram.
        told: opening of the lips every 20 ms, as the network tells it; ``None`` if not asked for.
    """

    mel: MelSpectrogram
    told: FloatArray | None


class LipTeller:
    """Tells the opening of lips from speech."""

    def __init__(self) -> None:
        """Load the networks that come with the repository."""
        self._encoder = weights.load(ENCODER_PATH, SpeechEncoder)
        self._shapes = weights.load(LIP_SHAPES_PATH, LipShapeNet)

    @torch.inference_mode()
    def __call__(self, speech: AudioClip) -> FloatArray:
        """Return float32 ``[T]``, every 20 ms, in standard deviations."""
        heard = torch.from_numpy(hear_track(speech, self._encoder, Hearing.offline()))
        told: FloatArray = self._shapes(heard[None]).mean[0, OPENING].numpy()
        return told


def settle_offset(
    numbers: Mapping[str, np.ndarray],
    offset_s: float,
    speech: Speech,
    settings: PreparationSettings,
    notes: dict[str, str],
) -> float:
    """Return the offset of the audio that brings it in step with the lips, and note the evidence.

    Args:
        numbers: ``time_s`` and ``opening`` of the clip's frames.
        offset_s: what is known of it, added to the time of the audio.
        speech: of the whole video.
        settings: what is measured, corrected and left out.
        notes: are added to.

    Raises:
        MediaError: audio and lips are too far apart, or do not fit.
    """
    notes["audio_offset_s"] = f"{offset_s:.4f}"
    if speech.told is not None:
        found_s = _by_lips(numbers, offset_s, speech.told, settings, notes)
    else:
        found_s = _by_loudness(numbers, offset_s, speech.mel, settings, notes)
    limit_s = settings.max_offset_s
    if limit_s and abs(found_s) > limit_s:
        raise MediaError(
            f"audio and lips are {found_s:+.2f} s apart, expected at most {limit_s:g} s"
        )
    if settings.correct_offset:
        offset_s += found_s
        notes["audio_offset_s"] = f"{offset_s:.4f}"
    return offset_s


def _by_lips(
    numbers: Mapping[str, np.ndarray],
    offset_s: float,
    told: FloatArray,
    settings: PreparationSettings,
    notes: dict[str, str],
) -> float:
    times_s: Float64Array = numbers["time_s"] - offset_s
    told_s = np.arange(len(told), dtype=np.float64) * STEP_S
    reach_s = settings.max_offset_s + _BEYOND_LIMIT_S
    found = fit_speech(told_s, told, times_s, numbers["opening"].astype(np.float64), reach_s)
    notes |= {"speech_later_s": f"{found.offset_s:.3f}", "speech_fit": f"{found.fit:.3f}"}
    if found.fit < settings.min_speech_fit:
        raise MediaError(
            f"lips and speech fit by {found.fit:.2f}, expected at least {settings.min_speech_fit:g}"
        )
    # A sound that is later than the lips is brought forward.
    return -found.offset_s if settings.max_offset_s and found.fit >= _LEAST_FIT else 0.0


def _by_loudness(
    numbers: Mapping[str, np.ndarray],
    offset_s: float,
    mel: MelSpectrogram,
    settings: PreparationSettings,
    notes: dict[str, str],
) -> float:
    limit_s = settings.max_offset_s
    if not limit_s:
        return 0.0
    times_s, reach_s = numbers["time_s"] - offset_s, limit_s + _BEYOND_LIMIT_S
    found = estimate_offset(numbers["opening"], times_s, mel, FRAME_RATE, reach_s)
    if found is None:
        return 0.0
    notes |= {
        "sync_offset_s": f"{found.offset_s:.3f}",
        "sync_correlation": f"{found.correlation:.3f}",
        "sync_correlation_at_0": f"{found.correlation_at_0:.3f}",
        "sync_score": f"{found.score:.2f}",
    }
    evident = found.score >= settings.min_sync_score and abs(found.offset_s) > _SYNC_TOLERANCE_S
    return found.offset_s if evident else 0.0
