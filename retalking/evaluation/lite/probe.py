"""Measure clips that speak their own words again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from models.enet import ENet
from retalking.coefficients.windows import parse_expression
from retalking.evaluation.lite.rehearsal import Rehearsal
from retalking.evaluation.lite.scene import LiteClip, Scene
from retalking.evaluation.lite.skin_region import skin_region
from retalking.face.landmarks import LiteLandmarker
from retalking.face.lip_motion import (
    deviation_ratio,
    displacement,
    share_open,
)
from retalking.ibug68 import lip_opening, mouth_width
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.media import audio
from retalking.media.hearing import hear
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.metrics.face_crops import Likeness, Restlessness
from retalking.metrics.lip_agreement import lip_agreement
from retalking.networks.load import Parts
from retalking.rendering.edit_plan import make_edit_plan
from retalking.rendering.timeline import build_timeline
from retalking.timings import Timings
from retalking.types import FloatArray, FrameChunk, UInt8Array

_SMILE_STRIDE = 5  # of the frames; a smile needs no more


class LiteProbe(Retalker):
    """Runs clips through the networks of a configuration and measures what comes out.

    Analysis, references and rendering are those of ``Retalker``; nothing is encoded.
    """

    def __init__(self, config: InferenceConfig, parts: Parts | None = None) -> None:
        """See ``Retalker``."""
        super().__init__(config, parts)
        # The same eyes whatever the face analysis of the configuration is.
        self._landmarker = LiteLandmarker.from_file(device=self._parts.runner.device)

    @property
    def has_dnet(self) -> bool:
        """Whether references come from D-Net."""
        return self._parts.dnet is not None

    @property
    def has_enet(self) -> bool:
        """Whether faces come from E-Net."""
        return isinstance(self._parts.enet, ENet)

    def measure(self, clip: LiteClip) -> dict[str, float]:
        """Measure a clip.

        Returns:
            Values by name, see ``lite_report.LINES``; without those of networks that the
            configuration lacks.

        Raises:
            MediaError: the clip cannot be read.
            FaceNotFoundError: it shows no face.
        """
        with self._open(clip) as scene:
            scores = self._measure_lips(scene)
            if self.has_dnet:
                scores |= self._measure_references(scene)
        return scores

    @contextmanager
    def _open(self, clip: LiteClip) -> Iterator[Scene]:
        with VideoReader(clip.video) as reader:
            source = Source(reader, max_seconds=self._config.max_seconds)
            analysis = self._analyse(source, Timings(), progress=False)
            speech = audio.load(clip.video)
            mel = hear(speech, self._config.silence_gate)
            timeline = build_timeline(
                analysis.pts,
                analysis.info.time_base,
                analysis.info.frame_rate,
                speech.duration_s,
                "video",
                sync_offset_s=-clip.audio_offset_s,
            )
            plan = make_edit_plan(timeline, analysis.track)
            yield Scene(source, analysis, plan, mel, self._render_options(source, analysis))

    def _measure_lips(self, scene: Scene) -> dict[str, float]:
        rehearsal = self._rehearse(scene)
        landmarks = scene.place_landmarks(rehearsal.lip_crops)
        around = landmarks.mean(axis=0)
        restlessness = Restlessness(skin_region(landmarks))
        likeness = Likeness(self.has_enet)
        true, right = [], []
        for take in rehearsal.show_faces(self._read(scene), paste=True):
            assert take.dubbed is not None
            restlessness.add(take.dubbed, take.true, take.numbers)
            true.append(lip_opening(self._look(take.true, around)))
            right.append(lip_opening(self._look(take.faces, around)))
            likeness.add(take.faces, take.true, take.low_res)
        truth, made = np.concatenate(true), np.concatenate(right)
        shifted = self._openings(scene.with_shifted_speech(), around)
        silent = self._openings(scene.with_silence(), around)
        return {
            **lip_agreement([made], [shifted], [truth]),
            "true_deviation": float(truth.std()),
            "silence_opening": share_open(silent, truth),
            "flicker": restlessness.ratio,
            **likeness.scores(),
        }

    def _measure_references(self, scene: Scene) -> dict[str, float]:
        source, neutral = self._look_at_references(scene)
        smile = parse_expression("smile").resolve(self._parts.templates)
        smiling = scene.with_expression(smile, _SMILE_STRIDE)
        _, smiles = self._look_at_references(smiling)
        return {
            "opening_drop": 1 - deviation_ratio(lip_opening(neutral), lip_opening(source)),
            "displacement": float(displacement(neutral, source).mean()),
            "smile_width": float(mouth_width(smiles).mean() / mouth_width(neutral).mean()),
        }

    def _look_at_references(self, scene: Scene) -> tuple[FloatArray, FloatArray]:
        """Landmarks of the source and of the references, ``[A, 68, 3]`` in the stabiliser crop."""
        around = scene.place_landmarks(scene.analysis.crops).mean(axis=0)
        found = [
            # The head moves in this crop: the second look is from where the first one found it.
            [self._look(faces, self._look(faces, around)) for faces in pair]
            for pair in self._rehearse(scene).show_references(self._read(scene))
        ]
        source, references = (np.concatenate(points) for points in zip(*found, strict=True))
        return source, references

    def _rehearse(self, scene: Scene) -> Rehearsal:
        return Rehearsal(
            self._parts, scene.analysis, scene.plan, scene.mel, scene.options, scene.references
        )

    def _read(self, scene: Scene) -> Iterator[FrameChunk]:
        index = scene.plan.timeline.source_index
        return scene.source.read_frames(index, scene.analysis.pts, self._config.chunk_size)

    def _openings(self, scene: Scene, around_px: FloatArray) -> FloatArray:
        takes = self._rehearse(scene).show_faces(self._read(scene))
        return np.concatenate([lip_opening(self._look(take.faces, around_px)) for take in takes])

    def _look(self, faces: UInt8Array, around_px: FloatArray) -> FloatArray:
        """Find landmarks ``[A, 68, 3]``.

        Args:
            faces: ``[A, S, S, 3]``.
            around_px: ``[68, 2]`` or ``[A, 68, 3]``, near which they are. The same for every face,
                or the true chin would tell the opening.
        """
        starts = np.broadcast_to(around_px, (len(faces), *around_px.shape[-2:]))
        return self._landmarker.follow(faces, starts)[0]
