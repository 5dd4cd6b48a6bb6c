"""Windows of one clip that the lip-sync expert must tell apart by their speech.

Telling windows of the same clip apart leaves nothing to learn from voices, faces and rooms: only
the motion of the lips says which speech is whose. Not in Wav2Lip; used by the lite recipe.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from datasets.augment import Augmentation, Disturbance, disturb
from datasets.sampling import WindowSampler
from datasets.speech import relative_opening
from datasets.store.format import TRACKS
from datasets.store.reader import ClipFilter, Store
from datasets.syncnet import SYNC_FRAMES, SyncDataSettings
from models.blocks.lower_half import edited_rows
from retalking.config import Schema
from retalking.media.images import to_tensor
from retalking.types import UInt8Array


class GroupSettings(Schema):
    """Which windows of a clip belong to a group, and how their crop varies."""

    num_windows: int = Field(ge=2)
    """Windows whose speech is told apart."""
    num_shown: int = Field(ge=1)
    """Those of them whose lips are shown too; pictures cost more than speech."""
    span_frames: int = Field(ge=2)
    """They begin within as many frames of each other."""
    shift: float = Field(ge=0, lt=0.5)
    """The crop moves by up to this share of its side, all of a group alike."""
    zoom: float = Field(ge=0, lt=1)
    """The crop is enlarged by a factor of 1 plus or minus up to this."""

    @model_validator(mode="after")
    def _fits(self) -> GroupSettings:
        if not self.num_shown <= self.num_windows <= self.span_frames:
            raise ValueError("expected num_shown <= num_windows <= span_frames")
        return self


class SyncGroup(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[V, 5, 3, S / 2, S]`` RGB in [0, 1], lower halves of five frames in order,
            of the windows that are shown.
        mels: float32 ``[W, 1, 80, 16]`` in [-4, 4], the speech of all windows, those shown first.
        openings: float32 ``[W, 5]``, how far the lips are open in each frame, in standard
            deviations from the clip's mean.
        clip_ids: name of the clip.
    """

    faces: Tensor
    mels: Tensor
    openings: Tensor
    clip_ids: str


class SyncGroups:
    """Numbered samples of a store; ``len`` counts the different spans."""

    def __init__(
        self,
        data: SyncDataSettings,
        group: GroupSettings,
        seed: int,
        disturbance: Disturbance | None = None,
    ) -> None:
        """Open the store.

        Args:
            data: where samples come from.
            group: what one is made of.
            seed: of all draws.
            disturbance: random changes of the speech, all windows of a group alike; none if not
                given.

        Raises:
            ConfigError: no store, no clip in it that fits, or more windows than a span holds.
        """
        self._data = data
        self._group = group
        self._disturbance = disturbance
        self._part = f"lips_{data.size_px}"
        self._store = Store(data.store)
        needs = ClipFilter(splits=(), parts=(self._part,), speech=True)
        least = group.num_windows + SYNC_FRAMES - 1
        self._sampler = WindowSampler(self._store, data.splits, needs, least, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> SyncGroup:
        """Return the sample of that number."""
        drawn = self._sampler(draw)
        augmentation = Augmentation.draw(self._data.augment, drawn.rng)
        last = drawn.num_frames - SYNC_FRAMES
        first = min(drawn.start, max(last + 1 - self._group.span_frames, 0))
        count = min(self._group.span_frames, last + 1 - first)
        starts = drawn.rng.choice(count, self._group.num_windows, replace=False)
        stop = first + int(starts.max()) + SYNC_FRAMES
        windows = starts[:, None] + np.arange(SYNC_FRAMES)  # [W, 5]
        shown = windows[: self._group.num_shown]
        frames, places = np.unique(shown, return_inverse=True)
        pictures = augmentation.apply(drawn.clip.pictures(self._part, first + frames))
        lower = np.ascontiguousarray(self._cut(pictures, drawn.rng))
        faces = to_tensor(lower)[torch.from_numpy(places.reshape(-1))]
        openings = relative_opening(
            drawn.clip.rows(TRACKS, "opening", first, stop), self._store.index[drawn.row]
        )
        mels = drawn.clip.mel_windows(first, stop)[starts]
        if self._disturbance is not None:
            mels = disturb(mels, self._disturbance, drawn.rng)
        return SyncGroup(
            faces=faces.unflatten(0, shown.shape),
            mels=torch.from_numpy(mels),
            openings=torch.from_numpy(openings[windows].astype(np.float32)),
            clip_ids=drawn.clip.name,
        )

    def _cut(self, pictures: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        """Cut the lower halves out of ``[T, S, S, 3]``, moved and zoomed at random."""
        size_px = self._data.size_px
        shift_x, shift_y, zoom = (2 * rng.random(3) - 1) * (
            self._group.shift * size_px,
            self._group.shift * size_px,
            self._group.zoom,
        )
        if shift_x or shift_y or zoom:
            middle = (size_px - 1) / 2
            matrix = cv2.getRotationMatrix2D((middle, middle), 0, 1 + zoom)
            matrix[:, 2] += shift_x, shift_y
            moved = [
                cv2.warpAffine(picture, matrix, (size_px, size_px), borderMode=cv2.BORDER_REPLICATE)
                for picture in pictures
            ]
            pictures = np.stack(moved).astype(np.uint8, copy=False)
        return pictures[:, edited_rows(size_px)]
