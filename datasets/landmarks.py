"""Training samples of the lite landmark network: labelled crops, placed and degraded at random."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from models.landmarks import LandmarkNetConfig
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.ibug68 import MIRRORED
from retalking.types import FloatArray, UInt8Array

TRAINING_SPLITS = ("train", "silent", "lrcar_train", "images")
SPLIT_SHARES = (0.36, 0.24, 0.28, 0.12)
"""How often samples come from each: photographs show the most people for their number."""
WIDE_TO_CROP = 1.5
"""The labelled crops are this much wider than the network's (margins 2.1 and 1.4)."""


class Offset(NamedTuple):
    """How a crop differs from the ideal one: roll, log scale, and shift ``[2]`` in crop sides."""

    roll_rad: float
    log_scale: float
    shift: np.ndarray


@dataclass(frozen=True)
class Placement:
    """How far a training crop may be off: standard deviations if ``normal``, else bounds."""

    share: float
    roll_rad: float
    log_scale: float
    shift: float
    normal: bool

    def draw(self, rng: np.random.Generator) -> Offset:
        """Draw how one crop is off."""
        unit = rng.normal(size=4) if self.normal else rng.uniform(-1, 1, size=4)
        return Offset(unit[0] * self.roll_rad, unit[1] * self.log_scale, unit[2:] * self.shift)


PLACEMENTS = (
    Placement(0.5, 0.14, 0.07, 0.03, normal=True),  # tracked: from the landmarks of a frame before
    Placement(0.3, 0.70, 0.30, 0.12, normal=False),  # a detector's box
    Placement(0.2, 0.70, 0.50, 0.25, normal=False),  # a poor box
)
NEGATIVE_SHARE = 0.22


class LandmarkDataSettings(Schema):
    """Where the labels are."""

    labels: Path


class LandmarkSample(NamedTuple):
    """One crop, or a batch of them with a leading axis.

    Attributes:
        crop: uint8 RGB ``[S, S, 3]``.
        points: float32 ``[68, 3]`` in crop sides.
        visible: float32 ``[68]``, 1 where the point counts: inside the crop of a face.
        is_face: float32, 1 face, 0 none, -1 neither counts.
        clip_ids: the label it is from.
    """

    crop: Any
    points: Any
    visible: Any
    is_face: Any
    clip_ids: Any


class LandmarkSamples:
    """Augmented crops by draw number."""

    def __init__(self, settings: LandmarkDataSettings, seed: int, held_out: bool = False) -> None:
        """Read the labels.

        Args:
            settings: where they are.
            seed: of all randomness, with the draw number.
            held_out: only the photographs that training leaves out.

        Raises:
            ConfigError: there are none.
        """
        crops: list[np.ndarray] = []
        points: list[np.ndarray] = []
        negatives: list[np.ndarray] = []
        self.names: list[str] = []
        self.groups: list[range] = []
        splits = dict(zip(TRAINING_SPLITS, SPLIT_SHARES, strict=True))
        self.shares = (1.0,) if held_out else SPLIT_SHARES
        for split in ("images",) if held_out else splits:
            first = len(self.names)
            for path in sorted((settings.labels / split).glob("*.npz")):
                if split == "images" and is_held_out(path.stem) != held_out:
                    continue
                with np.load(path) as label:
                    crops.append(label["crops"])
                    points.append(label["crop_points"])
                    negatives.append(label["negatives"])
                self.names += [f"{split}/{path.stem}"] * len(crops[-1])
            self.groups.append(range(first, len(self.names)))
        if not all(self.groups):
            raise ConfigError(
                f"data.labels: got {settings.labels}, expected labels of each of "
                f"{', '.join(splits)}; run scripts/lite/label_landmarks.py first"
            )
        self.crops, self.points = np.concatenate(crops), np.concatenate(points)
        self.negatives = np.concatenate(negatives)
        self.seed = seed

    def __getitem__(self, draw: int) -> LandmarkSample:
        """Return the sample of that number; the same at every call."""
        rng = np.random.default_rng([self.seed, draw])
        if rng.random() < NEGATIVE_SHARE / 2:
            crop = self.negatives[rng.integers(len(self.negatives))]
            crop = crop[:, ::-1] if rng.random() < 0.5 else crop
            nothing = np.zeros((68, 3), np.float32)
            crop = degrade(crop, self.negatives, rng)
            return LandmarkSample(crop, nothing, nothing[:, 0], np.float32(0), "no face")
        group = self.groups[rng.choice(len(self.groups), p=self.shares)]
        pick = rng.integers(group.start, group.stop)
        if rng.random() < NEGATIVE_SHARE / 2:
            shares = [0.0, 0.0, 0.0, 1.0]
        else:
            shares = [*(p.share for p in PLACEMENTS), 0.0]
        choice = rng.choice(4, p=shares)
        if choice < 3:
            offset, label = PLACEMENTS[choice].draw(rng), 1.0
        else:
            offset, label = draw_misplaced(rng), 0.0
        if choice == 2 and (abs(offset.log_scale) > 0.35 or np.abs(offset.shift).max() > 0.17):
            label = -1.0
        crop, points = place(self.crops[pick], self.points[pick], offset, rng)
        if rng.random() < 0.5:
            crop, points = crop[:, ::-1], points[list(MIRRORED)] * (-1, 1, 1) + (1, 0, 0)
        inside = ((points[:, :2] > 0.01) & (points[:, :2] < 0.99)).all(1)
        visible = np.asarray(inside & (choice < 3), np.float32)
        crop = degrade(crop, self.negatives, rng)
        return LandmarkSample(
            crop, points.astype(np.float32), visible, np.float32(label), self.names[pick]
        )


def is_held_out(image_name: str) -> bool:
    """Whether a photograph is kept for evaluation."""
    return zlib.crc32(image_name.encode()) % 2 == 1


def draw_misplaced(rng: np.random.Generator) -> Offset:
    """Draw a crop that must not pass as a face: beside it, far too large or small, or turned."""
    roll, log_scale, shift = rng.normal() * 0.3, rng.normal() * 0.2, rng.normal(size=2) * 0.1
    kind = rng.integers(4)
    if kind <= 1:
        angle = rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(0.38, 0.7) * np.array([np.cos(angle), np.sin(angle)])
    elif kind == 2:
        log_scale = rng.choice([-1, 1]) * rng.uniform(0.75, 1.2)
    else:
        roll = rng.choice([-1, 1]) * rng.uniform(1.4, np.pi)
    return Offset(float(roll), float(log_scale), shift)


def place(
    wide: UInt8Array, points: FloatArray, offset: Offset, rng: np.random.Generator
) -> tuple[UInt8Array, FloatArray]:
    """Cut the network's crop out of a wide one; returns it and the points in its coordinates."""
    size, wide_size = LandmarkNetConfig().crop_size_px, len(wide)
    side = np.exp(offset.log_scale) / WIDE_TO_CROP
    aspect = np.exp(rng.normal(0, 0.05))  # faces differ in shape more than the few people here
    cos, sin = np.cos(offset.roll_rad), np.sin(offset.roll_rad)
    axes = np.array([[cos, -sin], [sin, cos]]) @ np.diag([side * aspect, side / aspect])
    center = 0.5 + np.array([[cos, -sin], [sin, cos]]) @ offset.shift * side
    matrix = np.empty((2, 3))
    matrix[:, :2] = axes * wide_size / size
    matrix[:, 2] = (center + axes @ np.full(2, 0.5 / size - 0.5)) * wide_size - 0.5
    border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REFLECT_101
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(wide, matrix, (size, size), flags=flags, borderMode=border)
    flat = (points[:, :2] - center) @ np.linalg.inv(axes).T + 0.5
    placed = np.concatenate([flat, points[:, 2:] / side], axis=1).astype(np.float32)
    return crop.astype(np.uint8, copy=False), placed


def degrade(crop: UInt8Array, patches: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Change light and colour of ``[S, S, 3]``, hide parts, blur, add noise and compression."""
    size = len(crop)
    picture: np.ndarray = np.ascontiguousarray(crop).astype(np.float32)
    if rng.random() < 0.3:
        width, height = rng.integers(size // 8, size // 2, 2)
        x, y = rng.integers(0, size - width), rng.integers(0, size - height)
        patch = patches[rng.integers(len(patches)), :height, :width]
        picture[y : y + height, x : x + width] = patch if rng.random() < 0.6 else patch[0, 0]
    if rng.random() < 0.25:  # shading across the face
        ramp = np.linspace(-1, 1, size, dtype=np.float32) * rng.uniform(-0.5, 0.5)
        picture *= 1 + (ramp[None, :, None] if rng.random() < 0.5 else ramp[:, None, None])
    if rng.random() < 0.15:
        picture[:] = picture.mean(2, keepdims=True)
    gamma, gain = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.2))
    tint = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    picture = 255 * (np.clip(picture / 255, 0, 1) ** gamma) * gain * tint + rng.normal(0, 12)
    if rng.random() < 0.3:
        small = int(size / rng.uniform(1.2, 4.0))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size))
    elif rng.random() < 0.15:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        picture = cv2.filter2D(picture, -1, kernel if rng.random() < 0.7 else kernel.T)
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(2, 15), picture.shape)
    result = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        options = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
        coded = cv2.imencode(".jpg", result, options)[1]
        result = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return result
