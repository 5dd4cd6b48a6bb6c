"""What hides a mouth: hands, microphones, cups.

A shot shows its lower face over and over. What looks unlike that in one frame, in a place that is
otherwise steady, lies in front of it. Such frames lend no mouth, and where something lies in front
of the frame's own face, it stays in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.blocks.lower_half import EDITED_FROM
from retalking.face.crops import LIP_PX, crop_bounds, cut_from_part
from retalking.mouth.warp.mesh import Box
from retalking.types import BoolArray, Float64Array, FloatArray, UInt8Array

GLANCE_PX = (48, 24)
"""Width and height of a glance: the lower half of the lip crop."""

_FEWEST = 12  # glances that say what is usual
_LEVELS = 38.0  # grey levels by which something differs at least
_SPREADS = 5.0  # times the usual difference
_LEAST_PIXELS = 24  # of a glance, about a thumb
_MOST = 0.05  # share of the face that is hidden in frames that lend nothing
_STEADY = 4.0  # frames in which nothing moves, that the fit starts from
_ROUNDS = 3  # of the fit, with less and less weight for frames unlike the rest


def glance_at(frame: UInt8Array, to_lips: Float64Array) -> UInt8Array:
    """Lower half of the lip crop, small: uint8 ``[24, 48, 3]``."""
    x1, y1, x2, y2 = glance_bounds(to_lips, frame.shape[1], frame.shape[0])
    return glance_at_part(frame[y1:y2, x1:x2], (x1, y1), to_lips)


def glance_bounds(to_lips: Float64Array, width_px: int, height_px: int) -> Box:
    """Return the part of a frame that ``glance_at`` looks at."""
    return crop_bounds(_to_glance(to_lips), GLANCE_PX[0], width_px, height_px)


def glance_at_part(
    part: UInt8Array, origin_px: tuple[int, int], to_lips: Float64Array
) -> UInt8Array:
    """``glance_at`` where only the part of ``glance_bounds`` is there."""
    width, height = GLANCE_PX
    return cut_from_part(part, origin_px, _to_glance(to_lips), width)[width - height :]


def _to_glance(to_lips: Float64Array) -> Float64Array:
    factor = GLANCE_PX[0] / LIP_PX
    to_glance = to_lips * factor
    to_glance[:, 2] += (factor - 1) / 2
    return to_glance


@dataclass(frozen=True)
class UsualFace:
    """How a shot shows the lower face, by the pose of the head and the lips.

    Attributes:
        middle: float64 ``[D]``, usual pose and lips.
        scale: float64 ``[D]``, how much they vary.
        picture: float32 ``[24, 48, 3]``, the face then.
        effects: float32 ``[D, 24, 48, 3]``, what changes it, per ``scale``.
        spread: float32 ``[24, 48]``, usual difference from all that.
        face: bool ``[24, 48]``, where the face is.
    """

    middle: Float64Array
    scale: Float64Array
    picture: FloatArray
    effects: FloatArray
    spread: FloatArray
    face: BoolArray

    @classmethod
    def of(cls, glances: UInt8Array, moves: Float64Array, area: FloatArray) -> UsualFace | None:
        """Learn from glances; ``None`` if they are too few.

        Args:
            glances: uint8 ``[K, 24, 48, 3]``.
            moves: float64 ``[K, D]``, pose and lips in each.
            area: float32 ``[384, 384]``, where the face is in the lip crop.
        """
        if len(glances) < _FEWEST:
            return None
        lower = area[round(EDITED_FROM * LIP_PX) :]
        face = cv2.resize(lower, GLANCE_PX, interpolation=cv2.INTER_AREA) > 0.5
        pictures = glances.astype(np.float32)
        usual = np.median(pictures, axis=0)
        pictures -= np.median((pictures - usual)[:, face], axis=1)[:, None, None]  # changing light
        middle = np.median(moves, axis=0)
        scale = np.maximum(moves.std(axis=0), 1e-6)
        inputs = np.concatenate([np.ones((len(moves), 1)), (moves - middle) / scale], axis=1)
        trust = np.diag([0.0] + [_STEADY] * len(middle))
        weights = np.ones(len(glances))
        flat = pictures.reshape(len(pictures), -1)
        for _ in range(_ROUNDS):
            weighted = (inputs * weights[:, None]).T
            found = np.linalg.solve(weighted @ inputs + trust, weighted @ flat)
            off = np.abs(flat - inputs @ found).reshape(pictures.shape).max(axis=-1)
            errors = off[:, face].mean(axis=1)
            weights = np.minimum(1, (np.median(errors) / np.maximum(errors, 1e-6)) ** 2)
        parts = found.astype(np.float32).reshape(-1, *pictures.shape[1:])
        spread = np.median(off, axis=0).astype(np.float32)
        return cls(middle, scale, parts[0], parts[1:], spread, face)

    def find_strange(self, glance: UInt8Array, moves: Float64Array) -> BoolArray:
        """Say where something lies in front of the face: bool ``[24, 48]``."""
        moved = np.clip((moves - self.middle) / self.scale, -4, 4)
        expected = self.picture + np.tensordot(moved, self.effects, axes=1)
        difference = glance - expected
        difference -= np.median(difference[self.face], axis=0)
        strength = np.abs(difference).max(axis=-1)
        strange = self.face & (strength > np.maximum(_SPREADS * self.spread, _LEVELS))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(strange.astype(np.uint8))
        found = np.zeros(strange.shape, dtype=np.uint8)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= _LEAST_PIXELS:
                # Lips that move look different all the time; what surrounds them hides them too.
                rows, columns = np.nonzero(labels == number)
                hull = cv2.convexHull(np.stack([columns, rows], axis=1).astype(np.int32))
                cv2.fillConvexPoly(found, hull, 1)
        return found > 0

    def amount(self, strange: BoolArray) -> float:
        """How much of a face is hidden: 1 and more is too much for a mouth that is lent."""
        return float(strange.sum() / max(int(self.face.sum()), 1) / _MOST)


def uncover(area: FloatArray, strange: BoolArray) -> FloatArray:
    """Take from a mask ``[384, 384]`` what lies in front of the face, with a soft edge."""
    if not strange.any():
        return area
    grown = cv2.dilate(strange.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 0.7)
    top = round(EDITED_FROM * LIP_PX)
    left = area.copy()
    left[top:] *= 1 - cv2.resize(soft, (LIP_PX, LIP_PX - top), interpolation=cv2.INTER_LINEAR)
    return left
