"""Mouths of one person out of any number of videos, kept as pictures, to be lent to others.

``B`` counts mouths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.mouth.warp.lending.candidates import spread_candidates
from retalking.mouth.warp.lending.faces import FACE_ARRAYS, LendingFaces, PlacedMouth
from retalking.mouth.warp.lending.lenders import LentMouth
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array

_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 97),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


@dataclass(frozen=True)
class MouthBank:
    """Mouths that can be lent to any video of the person.

    Attributes:
        numbers: int64 ``[B]``, increasing; neighbours show consecutive frames of one video.
        flaws: float64 ``[B]``, see ``find_flaws``.
        faces: of the mouths.
        origins: int64 ``[B, 2]``, x and y of the first pixel of each picture in its frame.
        pictures: JPEG files, one after the other.
        ends: int64 ``[B]``, where each ends among the bytes.
        sounds: float32 ``[B, K]``, where the sound that each was said with lies in the
            ``SoundSpace`` of the person, NaN where that is unknown; ``K`` is 0 where no space is.
    """

    numbers: IntArray
    flaws: Float64Array
    faces: LendingFaces
    origins: IntArray
    pictures: UInt8Array
    ends: IntArray
    sounds: FloatArray

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def num_bytes(self) -> int:
        """What the pictures take."""
        return len(self.pictures)

    @classmethod
    def of(
        cls,
        numbers: IntArray,
        flaws: Float64Array,
        faces: LendingFaces,
        mouths: Sequence[LentMouth],
    ) -> MouthBank:
        """Keep mouths; see the attributes."""
        files = [_compress(mouth.rgb) for mouth in mouths]
        origins = np.array([mouth.origin for mouth in mouths], dtype=np.int64).reshape(-1, 2)
        ends = np.cumsum([len(file) for file in files], dtype=np.int64)
        unknown = np.empty((len(numbers), 0), np.float32)
        return cls(numbers, flaws, faces, origins, np.concatenate(files), ends, unknown)

    def find(self, number: int) -> PlacedMouth:
        """Return the mouth of one of ``numbers``."""
        row = int(np.searchsorted(self.numbers, number))
        start = int(self.ends[row - 1]) if row else 0
        bgr = cv2.imdecode(self.pictures[start : self.ends[row]], cv2.IMREAD_COLOR)
        assert bgr is not None  # the file of the bank has a hash
        rgb = np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
        x, y = self.origins[row].tolist()
        return PlacedMouth.of(LentMouth(rgb, (x, y)), self.faces.rows(np.array([row])))

    def rows(self, chosen: IntArray) -> MouthBank:
        """Return some of them, in their order."""
        starts = np.concatenate([[0], self.ends[:-1]])
        files = [self.pictures[starts[row] : self.ends[row]] for row in chosen.tolist()]
        return MouthBank(
            self.numbers[chosen],
            self.flaws[chosen],
            self.faces.rows(chosen),
            self.origins[chosen],
            np.concatenate(files),
            np.cumsum([len(file) for file in files], dtype=np.int64),
            self.sounds[chosen],
        )

    @classmethod
    def join(cls, banks: Sequence[MouthBank]) -> MouthBank:
        """Put the mouths of several videos into one bank, never as neighbours."""
        firsts = np.cumsum([0, *(int(bank.numbers[-1]) + 2 for bank in banks[:-1])])
        begins = np.cumsum([0, *(bank.num_bytes for bank in banks[:-1])])
        return cls(
            np.concatenate([b.numbers + at for b, at in zip(banks, firsts, strict=True)]),
            np.concatenate([bank.flaws for bank in banks]),
            LendingFaces.join([bank.faces for bank in banks]),
            np.concatenate([bank.origins for bank in banks]),
            np.concatenate([bank.pictures for bank in banks]),
            np.concatenate([b.ends + at for b, at in zip(banks, begins, strict=True)]),
            np.concatenate([bank.sounds for bank in banks]),
        )

    def within(self, most_bytes: int, features: Float64Array) -> MouthBank:
        """Return as many as take no more than some bytes, spread over ``features`` ``[B, D]``."""
        bank, most = self, len(self)
        while bank.num_bytes > most_bytes and most > 1:
            most = max(1, min(most - 1, int(0.98 * most * most_bytes / bank.num_bytes)))
            kept = spread_candidates(np.arange(len(self)), features, most)
            bank = self.rows(kept)
        return bank

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays for ``from_arrays``."""
        own = {name: getattr(self, name) for name in _OWN_ARRAYS}
        return own | {name: getattr(self.faces, name) for name in FACE_ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> MouthBank:
        """Undo ``to_arrays``.

        Raises:
            KeyError: an array is missing.
        """
        faces = LendingFaces(*(arrays[name] for name in FACE_ARRAYS))
        own = {name: arrays[name] for name in _OWN_ARRAYS if name != _SOUNDS}
        unknown = np.empty((len(faces), 0), np.float32)  # banks of before sounds were kept
        return cls(faces=faces, sounds=arrays.get(_SOUNDS, unknown), **own)


_SOUNDS = "sounds"
_OWN_ARRAYS = ("numbers", "flaws", "origins", "pictures", "ends", _SOUNDS)


def _compress(rgb: UInt8Array) -> UInt8Array:
    done, file = cv2.imencode(".jpg", rgb[..., ::-1], _JPEG)
    assert done  # a picture of this kind always can be
    found: UInt8Array = file.reshape(-1).astype(np.uint8, copy=False)
    return found
