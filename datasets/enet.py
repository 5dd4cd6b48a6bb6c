"""E-Net's samples: those of L-Net at 384 px, and the degradation that makes L-Net's input of them.

The paper (appendix C.3.3) feeds the frozen L-Net inside E-Net with compressed, shrunk versions of
the sharp frames, so that what it makes of them is as smooth as in inference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.lnet import LNetDataset, LNetDataSettings
from datasets.matched_speech import MatchedSpeech
from datasets.store.format import ENHANCED, LIPS
from datasets.store.jpeg import compress


class ENetDataSettings(LNetDataSettings):
    """Where samples come from and how they vary."""

    jpeg_quality: tuple[float, float] = Field(strict=False)
    """Range from which the quality of the degraded frames is drawn, within 1 to 100."""
    enhanced: bool
    """Use the frames that GPEN sharpened (``scripts.prepare.enhance_lrs2``), as the paper does."""


class ENetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        references: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        mels: float32 ``[T, 1, 80, 16]`` in [-4, 4].
        landmarks_px: float32 ``[T, 68, 2]`` in the face's pixels.
        jpeg_quality: float32 ``[]``, for ``degrade``.
        noise_seeds: int64 ``[T]``, of the noise that E-Net adds to each face.
        clip_ids: name of the clip.
    """

    faces: Tensor
    references: Tensor
    mels: Tensor
    landmarks_px: Tensor
    jpeg_quality: Tensor
    noise_seeds: Tensor
    clip_ids: str


class ENetDataset:
    """Numbered samples of a store; ``len`` counts the different target windows."""

    def __init__(
        self, settings: ENetDataSettings, seed: int, matched: MatchedSpeech | None = None
    ) -> None:
        """Open the store.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._quality = settings.jpeg_quality
        self._seed = seed
        pictures = f"{ENHANCED if settings.enhanced else LIPS}_{settings.size_px}"
        self._lips = LNetDataset(settings, seed, pictures, matched)

    def __len__(self) -> int:
        return len(self._lips)

    def __getitem__(self, draw: int) -> ENetSample:
        """Return the sample of that number."""
        rng = np.random.default_rng((self._seed, draw, 1))
        sample = self._lips[draw]
        return ENetSample(
            faces=sample.faces,
            references=sample.references,
            mels=sample.mels,
            landmarks_px=sample.landmarks_px,
            jpeg_quality=torch.tensor(rng.uniform(*self._quality), dtype=torch.float32),
            noise_seeds=torch.from_numpy(rng.integers(2**62, size=len(sample.faces))),
            clip_ids=sample.clip_ids,
        )


def degrade(faces: Tensor, jpeg_quality: Tensor, size_px: int) -> Tensor:
    """Compress sharp faces as JPEG and shrink them as E-Net does for its L-Net.

    Args:
        faces: ``[B, 3, S, S]`` in [0, 1]; gradients flow back to it.
        jpeg_quality: ``[B]``, 1 to 100.
        size_px: side of the result.

    Returns:
        ``[B, 3, size_px, size_px]`` in [0, 1].
    """
    packed = compress(faces, jpeg_quality)
    return F.interpolate(packed, (size_px, size_px), mode="bilinear", align_corners=False)
