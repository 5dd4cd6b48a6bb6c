"""Where faces stand that may lend their mouths: of the video, or of another one of its speaker."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retalking.mouth.warp.lending.lenders import LentMouth
from retalking.mouth.warp.lip_measures import OPENING
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array


@dataclass(frozen=True)
class LendingFaces:
    """``K`` faces, each in its own frame.

    Attributes:
        landmarks_px: float32 ``[K, 68, 3]`` with depth.
        to_lips: float64 ``[K, 2, 3]``, frame to lip crop.
        scale_px: float64 ``[K]``, pixels per shape unit.
        angles: float64 ``[K, 3]`` pitch, yaw, roll in radians.
        lips: float64 ``[K, 5]``, see ``lip_measures``.
    """

    landmarks_px: FloatArray
    to_lips: Float64Array
    scale_px: Float64Array
    angles: Float64Array
    lips: Float64Array

    def __len__(self) -> int:
        return len(self.scale_px)

    def rows(self, chosen: IntArray) -> LendingFaces:
        """Return some of them."""
        return LendingFaces(*(getattr(self, name)[chosen] for name in FACE_ARRAYS))

    @classmethod
    def join(cls, parts: Sequence[LendingFaces]) -> LendingFaces:
        """Put several into one."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in FACE_ARRAYS)
        )


FACE_ARRAYS = tuple(field.name for field in dataclasses.fields(LendingFaces))
"""Names of the arrays of ``LendingFaces``."""


@dataclass(frozen=True)
class PlacedMouth:
    """A mouth that is lent, with the face that it belongs to.

    Attributes:
        rgb: uint8 ``[h, w, 3]`` at the resolution of its frame.
        origin: x and y of its first pixel in its frame.
        landmarks_px: float32 ``[68, 3]`` in its frame.
        to_lips: float64 ``[2, 3]``.
        scale_px: pixels per shape unit.
        opening: of the lips, in shape units.
    """

    rgb: UInt8Array
    origin: tuple[int, int]
    landmarks_px: FloatArray
    to_lips: Float64Array
    scale_px: float
    opening: float

    @classmethod
    def of(cls, mouth: LentMouth, face: LendingFaces) -> PlacedMouth:
        """Place a mouth in its face, the only one of ``face``."""
        return cls(
            mouth.rgb,
            mouth.origin,
            face.landmarks_px[0],
            face.to_lips[0],
            float(face.scale_px[0]),
            float(face.lips[0, OPENING]),
        )
