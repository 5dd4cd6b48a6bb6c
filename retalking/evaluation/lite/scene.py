"""Clips of the lite suite after the first pass, and the ways in which they are rendered again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retalking.face.affine import transform_points
from retalking.face.lip_motion import shift_by_half
from retalking.media.mel import SILENCE, MelSpectrogram
from retalking.media.source import Source
from retalking.mouth.networks.references import References
from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.renderer import RenderOptions
from retalking.types import Float64Array, FloatArray, VideoAnalysis


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


@dataclass(frozen=True)
class Scene:
    """What is rendered.

    Attributes:
        source: the video; stays open as long as the scene is used.
        analysis: of it.
        plan: which frames, and the moments of the speech that they hear.
        mel: the speech.
        options: what the face does.
        references: kept by ``Rehearsal`` for scenes that differ in their speech alone.
    """

    source: Source
    analysis: VideoAnalysis
    plan: EditPlan
    mel: MelSpectrogram
    options: RenderOptions
    references: dict[int, References] = field(default_factory=dict)

    def place_landmarks(self, crops: Float64Array) -> FloatArray:
        """Return where crops ``[F, 2, 3]`` hold the landmarks: ``[A, 68, 2]``, faces only."""
        shown = self.analysis.track.detected
        points = self.analysis.track.landmarks_px[shown].astype(np.float64)
        return transform_points(crops[shown], points).astype(np.float32)

    def with_shifted_speech(self) -> Scene:
        """Let every frame hear what is half a clip away."""
        timeline = self.plan.timeline
        late = dataclasses.replace(timeline, audio_time_s=shift_by_half(timeline.audio_time_s))
        return dataclasses.replace(self, plan=dataclasses.replace(self.plan, timeline=late))

    def with_silence(self) -> Scene:
        """Let every frame hear nothing."""
        silence = np.full_like(self.mel.mel, SILENCE)
        return dataclasses.replace(self, mel=MelSpectrogram(silence))

    def with_expression(self, template: FloatArray, stride: int) -> Scene:
        """Give every ``stride``-th frame another expression ``[64]``."""
        timeline = self.plan.timeline
        fewer = dataclasses.replace(
            timeline,
            source_index=timeline.source_index[::stride],
            pts=timeline.pts[::stride],
            audio_time_s=timeline.audio_time_s[::stride],
        )
        return dataclasses.replace(
            self,
            plan=make_edit_plan(fewer, self.analysis.track),
            options=dataclasses.replace(self.options, template=template),
            references={},
        )
