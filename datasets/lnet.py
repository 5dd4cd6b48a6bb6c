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

from datasets.augment import AugmentSettings, Look
from datasets.sampling import Draw, WindowSampler, draw_other_starts, nearest_in_pose
from datasets.store import Needs, Store
from datasets.store_format import LIPS, NEUTRAL, TRACKS
from retalking.alignment import transform_points
from retalking.config import Schema
from retalking.geometry import LIP_PX
from retalking.images import to_tensor

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
    augment: AugmentSettings


class LNetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[T, 3, S, S]`` RGB in [0, 1], the whole face; what L-Net sees of it is
            above ``EDITED_FROM``.
        references: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        mels: float32 ``[T, 1, 80, 16]`` in [-4, 4]; the first is that of the whole window for the
            lip-sync expert if ``T`` is 5.
        landmarks_px: float32 ``[T, 68, 2]`` in the face's pixels.
        openings: float32 ``[T]``, see ``face_shape.lip_opening``.
        clip_ids: name of the clip.
    """

    faces: Tensor
    references: Tensor
    mels: Tensor
    landmarks_px: Tensor
    openings: Tensor
    clip_ids: str


class LNetDraws:
    """Numbered samples of a store; ``len`` counts the different target windows."""

    def __init__(self, settings: LNetDataSettings, seed: int, part: str | None = None) -> None:
        """Open the store.

        Args:
            settings: see there.
            seed: of all draws.
            part: of the store that holds the pictures; ``lips_SIZE`` if not given.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._settings = settings
        self._part = part or f"{LIPS}_{settings.size_px}"
        self._neutral_part = f"{NEUTRAL}_{settings.size_px}"
        needs = Needs(
            splits=(),
            parts=(self._part, *([self._neutral_part] if settings.reference == "neutral" else [])),
            min_frames=2 * settings.num_frames,
            speech=True,
            min_native_px={"lip_native_px": settings.min_native_px},
        )
        store = Store(settings.store)
        self._sampler = WindowSampler(store, settings.splits, needs, settings.num_frames, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> LNetSample:
        """Return the sample of that number."""
        count, size = self._settings.num_frames, self._settings.size_px
        drawn = self._sampler(draw)
        clip, start, stop = drawn.clip, drawn.start, drawn.start + count
        look = Look.draw(self._settings.augment, drawn.rng)
        if self._settings.reference == "neutral":
            references = clip.pictures(self._neutral_part, range(start, stop))
        else:
            first = self._choose_reference(drawn)
            references = clip.pictures(self._part, range(first, first + count))
        both = np.concatenate([clip.pictures(self._part, range(start, stop)), references])
        pictures = to_tensor(look.apply(both))
        crops = clip.rows(TRACKS, "lip_crop", start, stop)
        points = clip.rows(TRACKS, "landmarks_px", start, stop).astype(np.float64)
        # Half a pixel is the same share of the side at every size.
        points = (transform_points(crops, points) + 0.5) * (size / LIP_PX) - 0.5
        landmarks = look.move_points(points.astype(np.float32), size)
        return LNetSample(
            faces=pictures[:count],
            references=pictures[count:],
            mels=torch.from_numpy(clip.mel_windows(start, stop)),
            landmarks_px=torch.from_numpy(landmarks),
            openings=torch.from_numpy(clip.rows(TRACKS, "opening", start, stop)),
            clip_ids=clip.name,
        )

    def _choose_reference(self, drawn: Draw) -> int:
        count = self._settings.num_frames
        if self._settings.reference == "random":
            return int(draw_other_starts(drawn, count, 1)[0])
        others = draw_other_starts(drawn, count, self._settings.num_candidates)
        pose = drawn.clip.array(TRACKS, "pose")
        return nearest_in_pose(pose, drawn.start, others, count)
