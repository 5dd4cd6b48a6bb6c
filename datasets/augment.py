"""Random changes of a sample that do not change what its lips say."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from datasets.landmarks import MIRRORED
from retalking.config import Schema
from retalking.types import FloatArray, UInt8Array


class AugmentSettings(Schema):
    """How much samples vary; all zero leaves them as they are."""

    flip: float = Field(ge=0, le=1)
    """Share of samples that are mirrored."""
    grey: float = Field(ge=0, le=1)
    """Share of samples without colour."""
    brightness: float = Field(ge=0, lt=1)
    """Pixels are multiplied by 1 plus or minus up to this."""
    contrast: float = Field(ge=0, lt=1)
    """Distances from middle grey are multiplied by 1 plus or minus up to this."""


@dataclass(frozen=True)
class Augmentation:
    """The changes of one sample, the same for all its frames.

    Attributes:
        flip: mirror.
        grey: remove the colour.
        brightness: factor of the pixels.
        contrast: factor of the distance from middle grey.
    """

    flip: bool = False
    grey: bool = False
    brightness: float = 1.0
    contrast: float = 1.0

    @classmethod
    def draw(cls, settings: AugmentSettings, rng: np.random.Generator) -> Augmentation:
        """Draw one; always takes the same number of random numbers."""
        flip, grey, brightness, contrast = rng.random(4)
        return cls(
            flip=bool(flip < settings.flip),
            grey=bool(grey < settings.grey),
            brightness=1 + settings.brightness * (2 * brightness - 1),
            contrast=1 + settings.contrast * (2 * contrast - 1),
        )

    def apply(self, pictures: UInt8Array) -> UInt8Array:
        """Change pictures ``[T, H, W, 3]``."""
        if self.grey:
            weights = np.array([0.299, 0.587, 0.114], np.float32)
            grey = np.rint(pictures @ weights).astype(np.uint8)
            pictures = np.repeat(grey[..., None], 3, axis=-1)
        if self.brightness != 1 or self.contrast != 1:
            levels = ((np.arange(256) - 127.5) * self.contrast + 127.5) * self.brightness
            table = np.rint(levels).clip(0, 255).astype(np.uint8)
            flat = cv2.LUT(np.ascontiguousarray(pictures).reshape(-1, 1), table)
            pictures = flat.astype(np.uint8, copy=False).reshape(pictures.shape)
        return pictures[:, :, ::-1] if self.flip else pictures

    def move_points(self, points_px: FloatArray, width_px: int) -> FloatArray:
        """Move landmarks ``[T, 68, 2]`` along with the picture."""
        if not self.flip:
            return points_px
        mirrored = points_px[:, MIRRORED].copy()
        mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
        return mirrored


class Disturbance(Schema):
    """Random changes of mel windows, against learning speakers and rooms by heart."""

    noise: float = Field(ge=0)
    """Largest standard deviation of noise, in units of the mel's [-4, 4]."""
    gain: float = Field(ge=0)
    """Largest change of loudness, in the same unit."""
    masked_bands: int = Field(ge=0, le=80)
    """Most neighbouring frequency bands that are replaced by the window's mean."""


def disturb(mels: FloatArray, settings: Disturbance, rng: np.random.Generator) -> FloatArray:
    """Change mel windows ``[W, 1, 80, 16]`` at random, all of them alike but for the noise."""
    noise, gain, first, count = rng.random(4) * (
        settings.noise,
        2 * settings.gain,
        mels.shape[2],
        settings.masked_bands,
    )
    grain = rng.standard_normal(mels.shape, dtype=np.float32)
    changed = mels + np.float32(noise) * grain + np.float32(gain - settings.gain)
    bands = np.arange(mels.shape[2])
    changed[:, :, (bands >= first) & (bands < first + count)] = changed.mean()
    return changed.clip(-4, 4)
