"""D-Net's samples: two frames of a clip and the coefficients of the one that is to be made."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.augment import AugmentSettings, Look
from datasets.sampling import WindowSampler
from datasets.store import Needs, Store
from datasets.store_format import COEFFICIENTS
from retalking.coefficients import coefficient_windows
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.images import to_tensor


class DNetDataSettings(Schema):
    """Where samples come from and how they vary."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""
    size_px: int = Field(ge=32)
    """Side of the stored stabiliser crops to use."""
    min_native_px: float = Field(ge=0)
    """Leave out clips whose crop covers fewer pixels of the video."""
    augment: AugmentSettings
    """Without flips: the coefficients of a mirrored face are not those of the face."""


class DNetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        sources: float32 ``[3, S, S]`` RGB in [0, 1].
        targets: float32 ``[3, S, S]`` RGB in [0, 1], another frame of the clip.
        windows: float32 ``[73, 26]``, coefficients around the target.
        clip_ids: name of the clip.
    """

    sources: Tensor
    targets: Tensor
    windows: Tensor
    clip_ids: str


class DNetDraws:
    """Numbered samples of a store; ``len`` counts the different targets."""

    def __init__(self, settings: DNetDataSettings, seed: int) -> None:
        """Open the store.

        Raises:
            ConfigError: no store, no clip in it that fits, or flips are wished.
        """
        if settings.augment.flip:
            raise ConfigError(
                f"augment.flip: got {settings.augment.flip:g}, expected 0: the coefficients of a "
                "mirrored face are not known"
            )
        self._settings = settings
        self._part = f"stabiliser_{settings.size_px}"
        needs = Needs(
            splits=(),
            parts=(self._part, COEFFICIENTS),
            min_frames=2,
            min_native_px={"stabiliser_native_px": settings.min_native_px},
        )
        self._sampler = WindowSampler(Store(settings.store), settings.splits, needs, 1, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> DNetSample:
        """Return the sample of that number."""
        drawn = self._sampler(draw)
        target = drawn.start
        source = (target + int(drawn.rng.integers(1, drawn.num_frames))) % drawn.num_frames
        look = Look.draw(self._settings.augment, drawn.rng)
        pair = look.apply(drawn.clip.pictures(self._part, np.array([source, target])))
        pictures = to_tensor(pair)
        one_shot = np.zeros(drawn.num_frames, np.int64)
        windows = coefficient_windows(drawn.clip.coefficients(), [target], one_shot)
        return DNetSample(pictures[0], pictures[1], torch.from_numpy(windows[0]), drawn.clip.name)
