"""Samples for the warm-up of the audio encoder: what is heard, and how far the lips are open.

Clips whose faces are too small for pictures serve here as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from datasets.augment import Disturbance, disturb
from datasets.sampling import WindowSampler
from datasets.store.format import TRACKS
from datasets.store.reader import ClipFilter, Store
from retalking.config import Schema
from retalking.types import FloatArray

_LEAST_DEVIATION = 0.005  # lips that hardly move have no scale of their own

Opening = TypeVar("Opening", float, FloatArray)


def relative_opening(opening: Opening, clip: np.void) -> Opening:
    """Express lip openings in standard deviations from the clip's mean.

    Args:
        opening: one, or ``[F]``.
        clip: record of the store's index.
    """
    return (opening - float(clip["opening_mean"])) / max(
        float(clip["opening_std"]), _LEAST_DEVIATION
    )


class SpeechDataSettings(Schema):
    """Where samples come from."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""


class SpeechSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        mels: float32 ``[1, 80, 16]`` in [-4, 4].
        openings: float32 ``[]``, see ``lip_motion.lip_opening``.
        relative_openings: float32 ``[]``, the same in standard deviations from the clip's mean.
        clip_ids: name of the clip.
    """

    mels: Tensor
    openings: Tensor
    relative_openings: Tensor
    clip_ids: str


class SpeechDataset:
    """Numbered samples of a store; ``len`` counts the different frames."""

    def __init__(
        self, settings: SpeechDataSettings, seed: int, disturbance: Disturbance | None = None
    ) -> None:
        """Open the store.

        Args:
            settings: see there.
            seed: of all draws.
            disturbance: random changes of the speech; none if not given.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._disturbance = disturbance
        self._store = Store(settings.store)
        needs = ClipFilter(splits=(), speech=True)
        self._sampler = WindowSampler(self._store, settings.splits, needs, 1, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def __getitem__(self, draw: int) -> SpeechSample:
        """Return the sample of that number."""
        drawn = self._sampler(draw)
        clip, frame, index = drawn.clip, drawn.start, self._store.index
        opening = float(clip.rows(TRACKS, "opening", frame, frame + 1)[0])
        mels = clip.mel_windows(frame, frame + 1)
        if self._disturbance is not None:
            mels = disturb(mels, self._disturbance, drawn.rng)
        return SpeechSample(
            mels=torch.from_numpy(mels[0]),
            openings=torch.tensor(opening),
            relative_openings=torch.tensor(relative_opening(opening, index[drawn.row])),
            clip_ids=clip.name,
        )
