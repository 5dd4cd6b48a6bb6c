"""How the clips of a store are prepared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from retalking.config import Schema
from retalking.networks.options import FaceAnalysis


class PreparationSettings(Schema):
    """How clips are prepared; values are in ``configs/prepare/*.yaml``.

    Attributes:
        face_analysis: what finds faces and landmarks: ``lite``, our own on a CPU; ``official`` and
            ``retinaface``, on a GPU where there is one. The rest of the official analysis are
            coefficients: ``scripts.prepare.extend_store STORE coefficients --profile official``.
        lips_px: sizes of the lip crop that are stored.
        stabiliser_px: sizes of D-Net's crop that are stored.
        max_enlargement: a size is left out for faces that would be enlarged by more.
        max_gap_s: a face unseen for longer ends a clip; shorter gaps are bridged.
        min_frames: shorter runs of a face are left out.
        jpeg_quality: 1..100.
        keep_audio: store the speech itself besides its mel spectrogram.
        needs_speech: leave out clips without audio.
        stabiliser_extent: of D-Net's crop: ``ffhq`` as in inference, or ``frame`` for videos that
            are cropped already, as VoxCeleb's are.
        max_outside: share of D-Net's crop beyond the frame, where its edge is repeated, from which
            a clip is left out; 1 keeps all.
        offset_from: what measures the offset of audio and lips: ``loudness``, or ``speech``, the
            network that tells lips from speech.
        correct_offset: bring audio and lips in step, rather than only note how far they are apart.
        min_speech_fit: correlation of told and seen lips from which a clip is kept; 0 keeps all.
            For ``speech``.
        min_sync_score: judge the offset only where the evidence is that strong. For ``loudness``.
        max_offset_s: clips that are further out of step are left out; 0 turns the check off.
    """

    face_analysis: FaceAnalysis
    lips_px: tuple[int, ...] = Field(strict=False)
    stabiliser_px: tuple[int, ...] = Field(strict=False)
    max_enlargement: float = Field(gt=0)
    max_gap_s: float = Field(ge=0)
    min_frames: int = Field(ge=1)
    jpeg_quality: int = Field(ge=1, le=100)
    keep_audio: bool
    needs_speech: bool
    stabiliser_extent: Literal["ffhq", "frame"]
    max_outside: float = Field(ge=0, le=1)
    offset_from: Literal["loudness", "speech"]
    correct_offset: bool
    min_speech_fit: float = Field(ge=0, lt=1)
    min_sync_score: float
    max_offset_s: float = Field(ge=0)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts with pictures."""
        lips = tuple(f"lips_{size}" for size in self.lips_px)
        return lips + tuple(f"stabiliser_{size}" for size in self.stabiliser_px)
