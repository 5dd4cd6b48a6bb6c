"""L-Net's samples: consecutive frames, reference frames of the same clip, mel windows.

``T`` counts the frames of a sample, ``S`` is the side of the lip crop in pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.augment import Augmentation, AugmentSettings
from datasets.matched_speech import MatchedSpeech
from datasets.sampling import DrawnWindow, WindowSampler, draw_other_starts, nearest_in_pose
from datasets.speech import relative_opening
from datasets.store.format import LIPS, NEUTRAL, TRACKS
from datasets.store.reader import ClipFilter, Store
from models import weights
from models.speech.audio_opening import AudioOpening
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.media.images import to_tensor
from retalking.types import FloatArray

ReferenceKind = Literal["random", "nearest_pose", "neutral"]
"""Frames of the same clip that L-Net sees as reference.

* ``random``: a window elsewhere in the clip, as the paper and Wav2Lip do.
* ``nearest_pose``: of several such windows the one whose head pose is most like the target's.
* ``neutral``: the target's own frames with D-Net's neutral expression, as in inference; part
  ``neutral_SIZE`` of the store must be there.
"""


class LNetDataSettings(Schema):
    """Where samples come from and how they vary."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""
    size_px: int = Field(ge=16)
    """Side of the stored lip crops to use."""
    num_frames: int = Field(ge=1)
    """Consecutive frames per sample; the sync loss needs 5."""
    min_native_px: float = Field(ge=0)
    """Leave out clips whose lip crop covers fewer pixels of the video."""
    reference: ReferenceKind
    num_candidates: int = Field(ge=1)
    """Windows among which ``nearest_pose`` chooses."""
    min_gap: int = Field(ge=0)
    """Frames between a sample and its reference; neighbours show nearly the same lips."""
    matched_speech: float = Field(ge=0, le=1)
    """Share of the samples that get speech by the opening of their lips, see
    ``matched_speech.py``; only with single frames. 0 as in the paper."""
    mel_lead_frames: int = Field(ge=0)
    """Frames by which what L-Net hears begins before the frame. 0 as in inference; 1 as Wav2Lip's
    training has it. The expert's window always begins with the first frame."""
    augment: AugmentSettings


class LNetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[T, 3, S, S]`` RGB in [0, 1], the whole face; what L-Net sees of it is
            above ``models.blocks.lower_half.EDITED_FROM``.
        references: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        mels: float32 ``[T, 1, 80, 16]`` in [-4, 4], what L-Net hears.
        expert_mel: float32 ``[1, 80, 16]``, what the lip-sync expert hears with all ``T`` frames.
        landmarks_px: float32 ``[T, 68, 2]`` in the face's pixels.
        openings: float32 ``[T]``, see ``lip_motion.lip_opening``.
        clip_ids: name of the clip.
    """

    faces: Tensor
    references: Tensor
    mels: Tensor
    expert_mel: Tensor
    landmarks_px: Tensor
    openings: Tensor
    clip_ids: str


class LNetDataset:
    """Numbered samples of a store; ``len`` counts the different target windows."""

    def __init__(
        self,
        settings: LNetDataSettings,
        seed: int,
        part: str | None = None,
        matched: MatchedSpeech | None = None,
    ) -> None:
        """Open the store.

        Args:
            settings: see there.
            seed: of all draws.
            part: of the store that holds the pictures; ``lips_SIZE`` if not given.
            matched: speech for ``settings.matched_speech``.

        Raises:
            ConfigError: no store, no clip in it that fits, or matched speech for several frames.
        """
        if matched is not None and settings.num_frames != 1:
            raise ConfigError(
                f"num_frames: got {settings.num_frames}, expected 1 with matched_speech, whose "
                "frames are each of another speaker"
            )
        self._settings, self._matched = settings, matched
        self._part = part or f"{LIPS}_{settings.size_px}"
        self._neutral_part = f"{NEUTRAL}_{settings.size_px}"
        needs = ClipFilter(
            splits=(),
            parts=(self._part, *([self._neutral_part] if settings.reference == "neutral" else [])),
            min_frames=2 * settings.num_frames,
            speech=True,
            min_native_px={"lip_native_px": settings.min_native_px},
        )
        store = Store(settings.store)
        self._store = store
        self._sampler = WindowSampler(store, settings.splits, needs, settings.num_frames, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> LNetSample:
        """Return the sample of that number."""
        count, size = self._settings.num_frames, self._settings.size_px
        drawn = self._sampler(draw)
        clip, start, stop = drawn.clip, drawn.start, drawn.start + count
        augmentation = Augmentation.draw(self._settings.augment, drawn.rng)
        if self._settings.reference == "neutral":
            references = clip.pictures(self._neutral_part, range(start, stop))
        else:
            first = self._choose_reference(drawn)
            references = clip.pictures(self._part, range(first, first + count))
        both = np.concatenate([clip.pictures(self._part, range(start, stop)), references])
        pictures = to_tensor(augmentation.apply(both))
        openings = clip.rows(TRACKS, "opening", start, stop)
        landmarks = augmentation.move_points(clip.landmarks("lip", start, stop, size), size)
        return LNetSample(
            faces=pictures[:count],
            references=pictures[count:],
            mels=torch.from_numpy(self._choose_speech(drawn, openings)),
            expert_mel=torch.from_numpy(clip.mel_windows(start, start + 1)[0]),
            landmarks_px=torch.from_numpy(landmarks),
            openings=torch.from_numpy(openings),
            clip_ids=clip.name,
        )

    def _choose_speech(self, drawn: DrawnWindow, openings: FloatArray) -> FloatArray:
        if self._matched is None or drawn.rng.random() >= self._settings.matched_speech:
            stop = drawn.start + self._settings.num_frames
            return drawn.clip.mel_windows(drawn.start, stop, self._settings.mel_lead_frames)
        record = self._store.index[drawn.row]
        relative = relative_opening(openings, record)
        return np.stack([self._matched.draw(float(value), drawn.rng) for value in relative])

    def _choose_reference(self, drawn: DrawnWindow) -> int:
        count = self._settings.num_frames
        if self._settings.reference == "random":
            return int(draw_other_starts(drawn, count, 1, self._settings.min_gap)[0])
        others = draw_other_starts(
            drawn, count, self._settings.num_candidates, self._settings.min_gap
        )
        pose = drawn.clip.array(TRACKS, "pose")
        return nearest_in_pose(pose, drawn.start, others, count)


def match_speech(settings: LNetDataSettings, audio_encoder: Path | None) -> MatchedSpeech | None:
    """Order the training speech by how open it sounds, if the recipe wants it.

    Args:
        settings: of the loader.
        audio_encoder: weights of ``train_audio.py``.

    Raises:
        ConfigError: there is no regressor to listen.
        WeightsError: its file is absent or does not fit.
    """
    if settings.matched_speech == 0:
        return None
    if audio_encoder is None:
        raise ConfigError("audio_encoder: got null, expected a file, or set matched_speech to 0")
    return MatchedSpeech(
        Store(settings.store), settings.splits, weights.load(audio_encoder, AudioOpening)
    )
