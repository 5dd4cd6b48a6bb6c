"""Measure clips that speak their own words again."""

from __future__ import annotations

import numpy as np
import torch

from models.enet import ENet
from retalking.coefficients.windows import parse_expression
from retalking.evaluation.lite.rehearsal import Rehearsal
from retalking.evaluation.lite.scene import (
    LiteClip,
    place_landmarks,
    with_fewer_frames,
    with_shifted_speech,
    with_silence,
)
from retalking.evaluation.lite.skin_region import skin_region
from retalking.face.landmarks import LiteLandmarker
from retalking.face.lip_motion import (
    deviation_ratio,
    displacement,
    share_open,
)
from retalking.ibug68 import lip_opening, mouth_width
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import Dub
from retalking.inference.pipeline import Retalker
from retalking.metrics.face_crops import Likeness, Restlessness
from retalking.metrics.lip_agreement import lip_agreement
from retalking.mouth.networks.references import References
from retalking.networks.load import Parts
from retalking.types import Float64Array, FloatArray, UInt8Array

_SMILE_STRIDE = 5  # of the frames; a smile needs no more


class LiteProbe:
    """Runs clips through the networks of a configuration and measures what comes out.

    Analysis, references and rendering are those of ``Retalker``; nothing is encoded.
    """

    def __init__(self, config: InferenceConfig, parts: Parts | None = None) -> None:
        """See ``Retalker``."""
        self._retalker = Retalker(config, parts)
        # The same eyes whatever the face analysis of the configuration is.
        device = self._retalker.parts.runner.device
        self._landmarker = LiteLandmarker.from_file(device=device)

    @property
    def has_dnet(self) -> bool:
        """Whether references come from D-Net."""
        return self._retalker.parts.dnet is not None

    @property
    def has_enet(self) -> bool:
        """Whether faces come from E-Net."""
        return isinstance(self._retalker.parts.enet, ENet)

    def measure(self, clip: LiteClip) -> dict[str, float]:
        """Measure a clip.

        Returns:
            Values by name, see ``lite_report.LINES``; without those of networks that the
            configuration lacks.

        Raises:
            MediaError: the clip cannot be read.
            FaceNotFoundError: it shows no face.
        """
        retalker = self._retalker
        changes = {
            "length_policy": "video",
            "sync_offset_ms": -1000 * clip.audio_offset_s,
            "min_fps": 0,
        }
        own_words = Retalker(retalker.config.model_copy(update=changes), retalker.parts)
        with own_words.prepare(clip.video) as scene:
            dub = own_words.plan(scene, clip.video)
            begun: dict[int, References] = {}
            scores = self._measure_lips(dub, begun)
            if self.has_dnet:
                scores |= self._measure_references(dub, begun)
        return scores

    def _measure_lips(self, dub: Dub, begun: dict[int, References]) -> dict[str, float]:
        landmarks = place_landmarks(dub.scene, dub.scene.to_lips)
        around = landmarks.mean(axis=0)
        restlessness = Restlessness(skin_region(landmarks))
        likeness = Likeness(self.has_enet)
        true, right = [], []
        for take in Rehearsal(self._retalker, dub, begun).show_faces():
            restlessness.add(take.dubbed, take.true, take.numbers)
            true.append(lip_opening(self._look(take.true, around)))
            right.append(lip_opening(self._look(take.faces, around)))
            likeness.add(take.faces, take.true, torch.from_numpy(take.low_res))
        truth, made = np.concatenate(true), np.concatenate(right)
        shifted = self._openings(with_shifted_speech(dub), begun, around)
        silent = self._openings(with_silence(dub), begun, around)
        return {
            **lip_agreement([made], [shifted], [truth]),
            "true_deviation": float(truth.std()),
            "silence_opening": share_open(silent, truth),
            "flicker": restlessness.ratio,
            **likeness.scores(),
        }

    def _measure_references(self, dub: Dub, begun: dict[int, References]) -> dict[str, float]:
        source, neutral = self._look_at_references(dub, begun)
        smile = parse_expression("smile").resolve(self._retalker.parts.templates)
        _, smiles = self._look_at_references(with_fewer_frames(dub, _SMILE_STRIDE), {}, smile)
        return {
            "opening_drop": 1 - deviation_ratio(lip_opening(neutral), lip_opening(source)),
            "displacement": float(displacement(neutral, source).mean()),
            "smile_width": float(mouth_width(smiles).mean() / mouth_width(neutral).mean()),
        }

    def _look_at_references(
        self, dub: Dub, begun: dict[int, References], expression: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Landmarks of the source and of the references, ``[A, 68, 3]`` in the stabiliser crop."""
        around = place_landmarks(dub.scene, dub.scene.analysis.crops).mean(axis=0)
        rehearsal = Rehearsal(self._retalker, dub, begun, expression)
        found = [
            # The head moves in this crop: the second look is from where the first one found it.
            [self._look(faces, self._look(faces, around)) for faces in pair]
            for pair in rehearsal.show_references()
        ]
        source, references = (np.concatenate(points) for points in zip(*found, strict=True))
        return source, references

    def _openings(
        self, dub: Dub, begun: dict[int, References], around_px: FloatArray
    ) -> Float64Array:
        takes = Rehearsal(self._retalker, dub, begun).show_faces()
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
