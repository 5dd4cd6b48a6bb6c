"""Clips of the lite suite, and the ways in which they are dubbed again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.errors import ConfigError
from retalking.face.affine import transform_points
from retalking.face.lip_motion import shift_by_half
from retalking.inference.dub import Dub
from retalking.media.sound.mel import SILENCE, MelSpectrogram
from retalking.rendering.edit_plan import make_edit_plan
from retalking.rendering.scene import Scene
from retalking.types import Float64Array, FloatArray


@dataclass(frozen=True)
class LiteClip:
    """A talking head.

    Attributes:
        name: shown in tables.
        video: file with picture and speech.
        audio_offset_s: added to the time of the audio to bring it in step with the lips.
    """

    name: str
    video: Path
    audio_offset_s: float = 0.0


def place_landmarks(scene: Scene, crops: Float64Array) -> FloatArray:
    """Return where crops ``[F, 2, 3]`` hold the landmarks: ``[A, 68, 2]``, faces only."""
    shown = np.flatnonzero(scene.analysis.track.detected)
    return transform_points(crops[shown], scene.landmarks_px(shown)).astype(np.float32)


def with_shifted_speech(dub: Dub) -> Dub:
    """Let every frame hear what is half a clip away."""
    timeline = dub.plan.timeline
    late = dataclasses.replace(timeline, audio_time_s=shift_by_half(timeline.audio_time_s))
    return dataclasses.replace(dub, plan=dataclasses.replace(dub.plan, timeline=late))


def with_silence(dub: Dub) -> Dub:
    """Let every frame hear nothing."""
    if not isinstance(dub.speech.heard, MelSpectrogram):
        raise ConfigError("lite suite: measures the networks; expected mouth: networks")
    silence = MelSpectrogram(np.full_like(dub.speech.heard.mel, SILENCE))
    return dataclasses.replace(dub, speech=dataclasses.replace(dub.speech, heard=silence))


def with_fewer_frames(dub: Dub, stride: int) -> Dub:
    """Show every ``stride``-th frame only."""
    timeline = dub.plan.timeline
    fewer = dataclasses.replace(
        timeline,
        source_index=timeline.source_index[::stride],
        pts=timeline.pts[::stride],
        audio_time_s=timeline.audio_time_s[::stride],
    )
    return dataclasses.replace(dub, plan=make_edit_plan(fewer, dub.scene.analysis.track))
