"""The lip-sync expert's samples: a window of lips with its own speech or another part of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.augment import Augmentation, AugmentSettings
from datasets.sampling import WindowSampler, draw_other_starts
from datasets.store.reader import ClipFilter, Store
from models.blocks.lower_half import edited_rows
from retalking.config import Schema
from retalking.media.images import to_tensor

SYNC_FRAMES = 5
"""Frames of a window: 0.2 s, as long as a mel window."""


class SyncDataSettings(Schema):
    """Where samples come from and how they vary."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""
    size_px: int = Field(ge=16)
    """Side of the stored lip crops to use."""
    positive_share: float = Field(gt=0, lt=1)
    """Share of samples whose speech belongs to the lips, or their weight where windows of a clip
    are told apart."""
    min_shift_frames: int = Field(ge=1)
    """How far the speech of other samples is away at least, where the clip is long enough."""
    augment: AugmentSettings


class SyncSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[5, 3, S / 2, S]`` RGB in [0, 1], lower halves of five frames in order.
        mels: float32 ``[1, 80, 16]`` in [-4, 4].
        is_synced: float32 ``[]``, 1 if speech and lips belong together, else 0.
        clip_ids: name of the clip.
    """

    faces: Tensor
    mels: Tensor
    is_synced: Tensor
    clip_ids: str


class SyncDataset:
    """Numbered samples of a store; ``len`` counts the different windows."""

    def __init__(self, settings: SyncDataSettings, seed: int) -> None:
        """Open the store.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._settings = settings
        self._part = f"lips_{settings.size_px}"
        needs = ClipFilter(splits=(), parts=(self._part,), min_frames=2 * SYNC_FRAMES, speech=True)
        store = Store(settings.store)
        self._sampler = WindowSampler(store, settings.splits, needs, SYNC_FRAMES, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> SyncSample:
        """Return the sample of that number."""
        drawn = self._sampler(draw)
        augmentation = Augmentation.draw(self._settings.augment, drawn.rng)
        is_synced = drawn.rng.random() < self._settings.positive_share
        heard = drawn.start
        if not is_synced:
            gap = self._settings.min_shift_frames - SYNC_FRAMES
            heard = int(draw_other_starts(drawn, SYNC_FRAMES, 1, gap)[0])
        frames = range(drawn.start, drawn.start + SYNC_FRAMES)
        pictures = augmentation.apply(drawn.clip.pictures(self._part, frames))
        lower = pictures[:, edited_rows(self._settings.size_px)]
        return SyncSample(
            faces=to_tensor(np.ascontiguousarray(lower)),
            mels=torch.from_numpy(drawn.clip.mel_windows(heard, heard + 1)[0]),
            is_synced=torch.tensor(float(is_synced)),
            clip_ids=drawn.clip.name,
        )
