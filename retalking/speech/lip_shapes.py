"""What the lips do over time, from speech alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from models import weights
from models.speech.encoder import SpeechEncoder
from models.speech.lip_shapes import NUM_SHAPES, LipShapeNet
from models.speech.voice_activity import VoiceActivityNet
from retalking.arrays import scratch
from retalking.locations import LITE_WEIGHTS
from retalking.speech.features import hear
from retalking.speech.sounds import SoundSpace
from retalking.speech.voice_activity import LOOK_AHEAD_S, hear_voice
from retalking.speech.windows import STEP_S, STEP_SAMPLES, Hearing, check_speech, cut_windows
from retalking.types import AudioClip, Float64Array, FloatArray

SHAPE_NAMES = ("opening", "width", "jaw", "lower lip", "pucker")
"""The columns of ``retalking.mouth.warp.lip_measures``."""
ENCODER_PATH = LITE_WEIGHTS / "speech_encoder.safetensors"
LIP_SHAPES_PATH = LITE_WEIGHTS / "lips.safetensors"
VOICE_ACTIVITY_PATH = LITE_WEIGHTS / "voice_activity.safetensors"
SILENCE_AFTER_STEPS = 15
"""Silence that is heard after the end of the track, so that the lips close there."""


@dataclass(frozen=True)
class LipShapes:
    """Shapes of the lips every 20 ms, of nobody in particular.

    Attributes:
        time_s: float64 ``[T]``, 0, 0.02, ... to 0.3 s after the end of the speech.
        values: float32 ``[T, 5]``, columns of ``retalking.mouth.warp.lip_measures``, in
            standard deviations of the speaker from the speaker's mean over a talk
            (``LipRange.place`` makes measures of them). Over clean speech they move as much as
            true lips; where the speech says less, as in noise, they move less. Where nobody
            speaks they are those of closed lips.
        certainty: float32 ``[T, 5]`` in [0, 1], share of the lips' variance that the speech is
            expected to explain; 1 where nobody speaks. ``values`` already shrink with it.
        speaking: float32 ``[T]`` in [0, 1], see ``voice_activity.hear_voice``.
        sounds: float32 ``[T, K]``, where they lie among those of a person, see ``SoundSpace``;
            ``None`` where that is unknown.
    """

    time_s: Float64Array
    values: FloatArray
    certainty: FloatArray
    speaking: FloatArray
    sounds: FloatArray | None = None

    def __post_init__(self) -> None:
        count = len(self.time_s)
        for name, shape in (
            ("values", (count, NUM_SHAPES)),
            ("certainty", (count, NUM_SHAPES)),
            ("speaking", (count,)),
        ):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(
                    f"LipShapes.{name}: got {array.dtype}{list(array.shape)}, expected "
                    f"float32{list(shape)}"
                )

    def __len__(self) -> int:
        return len(self.time_s)

    def at(self, times_s: ArrayLike) -> LipShapes:
        """Interpolate at other times ``[T']``, which need not be sorted; the ends are held."""
        times = np.asarray(times_s, dtype=np.float64)

        def sample(curves: FloatArray) -> FloatArray:
            rows = [np.interp(times, self.time_s, curve) for curve in curves.T]
            return np.stack(rows, axis=1).astype(np.float32)

        speaking = sample(self.speaking[:, None])[:, 0]
        shown, certain = sample(self.values), sample(self.certainty)
        sounds = None if self.sounds is None else sample(self.sounds)
        return LipShapes(times, shown, certain, speaking, sounds)


@dataclass(frozen=True)
class LipListener:
    """The networks that hear lips, in evaluation mode.

    Attributes:
        encoder: hears sounds.
        shapes: tells lips from sounds.
        voice: tells speech from silence, breath and music.
        sounds: where those of the speaker lie, if that is known.
    """

    encoder: SpeechEncoder
    shapes: LipShapeNet
    voice: VoiceActivityNet
    sounds: SoundSpace | None = None

    @classmethod
    def from_files(
        cls,
        encoder: Path = ENCODER_PATH,
        shapes: Path = LIP_SHAPES_PATH,
        voice: Path = VOICE_ACTIVITY_PATH,
    ) -> LipListener:
        """Load the networks; on the CPU, which needs a hundredth of the speech's time.

        Raises:
            WeightsError: a file is missing or does not fit.
        """
        return cls(
            weights.load(encoder, SpeechEncoder),
            weights.load(shapes, LipShapeNet),
            weights.load(voice, VoiceActivityNet),
        )


def hear_lips(
    clip: AudioClip, listener: LipListener, look_ahead_s: float | None = None
) -> LipShapes:
    """Tell from speech what the lips do.

    Neither loudness nor the length of the track matters; memory grows by some hundred bytes for
    every 20 ms.

    Args:
        clip: speech at 16 kHz.
        listener: see there.
        look_ahead_s: use no more of the future than so much, as live use asks for; ``None`` uses a
            second and more, which tells lips a little better.

    Raises:
        MediaError: the audio is empty or not at 16 kHz.
        ValueError: the look-ahead is below ``voice_activity.LOOK_AHEAD_S``.
    """
    check_speech(clip)
    if look_ahead_s is not None and look_ahead_s < LOOK_AHEAD_S:
        raise ValueError(f"look_ahead_s: got {look_ahead_s:g}, expected {LOOK_AHEAD_S:g} or more")
    hearing = Hearing.offline() if look_ahead_s is None else Hearing.live(look_ahead_s)
    count = -(-len(clip.samples) // STEP_SAMPLES) + SILENCE_AFTER_STEPS
    heard = scratch.zeros((count * STEP_SAMPLES,), np.float32)
    scratch.copy(clip.samples, heard[: len(clip.samples)])
    clip = AudioClip(heard, clip.sample_rate_hz)
    values = np.empty((count, NUM_SHAPES), np.float32)
    certainty = np.empty((count, NUM_SHAPES), np.float32)
    space, sounds = listener.sounds, None
    if space is not None:
        sounds = scratch.zeros((count, space.num_directions), np.float32)
    for window in cut_windows(clip, hearing):
        guess = guess_shapes(window.samples, listener)
        rows = slice(window.start, window.start + window.kept.stop - window.kept.start)
        values[rows], certainty[rows] = guess.mean[window.kept], 1 - guess.variance[window.kept]
        if sounds is not None and guess.sounds is not None:
            sounds[rows] = guess.sounds[window.kept]
        scratch.let_go()
    speaking = hear_voice(clip, listener.voice, live=look_ahead_s is not None)
    return LipShapes(
        time_s=np.arange(count, dtype=np.float64) * STEP_S,
        values=scratch.keep(rest_in_silence(values, speaking, listener)),
        certainty=scratch.keep(speaking[:, None] * certainty.clip(0, 1) + (1 - speaking[:, None])),
        speaking=speaking,
        sounds=sounds,
    )


def rest_in_silence(values: FloatArray, speaking: FloatArray, listener: LipListener) -> FloatArray:
    """Return guesses ``[T, 5]`` at the size of true movements, and closed lips in silence."""
    share, closed = speaking[:, None], listener.shapes.closed.cpu().numpy()
    shown: FloatArray = share * values * listener.shapes.gain.cpu().numpy() + (1 - share) * closed
    return shown


class WindowGuess(NamedTuple):
    """What is told from one window of speech.

    Attributes:
        mean: of lips, ``[T, 5]``.
        variance: ``[T, 5]``.
        sounds: ``[T, K]``, see ``LipShapes``.
    """

    mean: FloatArray
    variance: FloatArray
    sounds: FloatArray | None


@torch.inference_mode()
def guess_shapes(samples: FloatArray, listener: LipListener) -> WindowGuess:
    """Guess lips from one window of speech, ``[N]``, every 320 samples."""
    heard = hear(samples, listener.encoder)
    device = listener.shapes.feature_mean.device
    guess = listener.shapes(torch.from_numpy(heard)[None].to(device))
    mean, variance = (part[0].T.cpu().numpy() for part in guess)
    space = listener.sounds
    return WindowGuess(mean, variance, None if space is None else space.place(heard))
