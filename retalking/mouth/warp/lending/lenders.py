"""Mouths of the video that can be lent, as boxes of its own frames, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.arrays import scratch
from retalking.ibug68 import OUTER_LIPS
from retalking.media.memory import CHUNK_BYTES, pictures_within
from retalking.media.prefetch import read_ahead
from retalking.media.source import Source
from retalking.mouth.coverings import is_covered
from retalking.mouth.warp.mesh import Box
from retalking.mouth.warp.visibility import UsualFace, glance_at_part, glance_bounds
from retalking.types import BoolArray, Float64Array, FloatArray, IntArray, UInt8Array

_REACH = np.array([1.15, 1.0])  # half a box in widths of the mouth
_MOST_AHEAD = 8  # frames
_BLURRED = 0.6  # of the sharpness that is usual in a shot
BYTES_PER_SQUARE = float(4 * _REACH.prod() * 3)
"""Bytes of a box per square pixel of the mouth's width."""


@dataclass(frozen=True)
class LentMouth:
    """Pixels around a mouth.

    Attributes:
        rgb: uint8 ``[h, w, 3]`` at the resolution of the frame.
        origin: x and y of its first pixel in the frame.
    """

    rgb: UInt8Array
    origin: tuple[int, int]


@dataclass(frozen=True)
class Lenders:
    """Candidates of a video, in the order of their frames.

    Attributes:
        mouths: by frame.
        glances: uint8 ``[K, 24, 48, 3]``, lower faces at a glance, in the lip crop.
        sharpness: float32 ``[K]``, mean strength of edges in the mouth's box.
        covered: bool ``[K]``, whether a mask or a beard hides the chin.
    """

    mouths: Mapping[int, LentMouth]
    glances: UInt8Array
    sharpness: FloatArray
    covered: BoolArray

    def rows(self, chosen: IntArray) -> Lenders:
        """Return some of them, with all mouths."""
        return Lenders(
            self.mouths, self.glances[chosen], self.sharpness[chosen], self.covered[chosen]
        )


def mouth_width(landmarks_px: NDArray[np.floating]) -> Float64Array:
    """Size of mouths ``[..., 68, 2]`` in pixels, ``[...]``, as boxes are measured."""
    spans = np.ptp(landmarks_px[..., OUTER_LIPS, :], axis=-2)
    width: Float64Array = (spans[..., 0] + spans[..., 1] / 2).astype(np.float64)
    return width


def read_lenders(
    source: Source,
    pts: IntArray,
    landmarks_px: NDArray[np.floating],
    to_lips: Float64Array,
    frames: IntArray,
) -> Lenders:
    """Read the mouths of some frames.

    Args:
        source: the video.
        pts: int64 ``[F]`` of it.
        landmarks_px: ``[F, 68, 2]``.
        to_lips: ``[F, 2, 3]``, frames to lip crops.
        frames: int64 ``[K]``, increasing.
    """
    size = (source.info.width_px, source.info.height_px)
    points, crops = landmarks_px[frames], to_lips[frames]
    scratch.let_go()
    boxes = [mouth_box(face, *size) for face in points]
    views = [glance_bounds(crop, *size) for crop in crops]
    parts = [_around(*pair) for pair in zip(boxes, views, strict=True)]
    largest = max(((x2 - x1, y2 - y1) for x1, y1, x2, y2 in parts), key=np.prod)
    ahead = min(max(pictures_within(CHUNK_BYTES, *largest) // 2, 1), _MOST_AHEAD)
    mouths: dict[int, LentMouth] = {}
    glances, sharpness, covered = [], [], []
    with closing(read_ahead(source.read_parts(frames, pts, parts), ahead)) as pictures:
        for row, (box, view, part, rgb) in enumerate(
            zip(boxes, views, parts, pictures, strict=True)
        ):
            mouth = LentMouth(_of_part(rgb, part, box).copy(), box[:2])
            mouths[int(frames[row])] = mouth
            seen = _of_part(rgb, part, view)
            glances.append(glance_at_part(seen, view[:2], crops[row]))
            sharpness.append(_strength_of_edges(mouth.rgb))
            covered.append(is_covered(rgb, points[row] - part[:2]))
    edges, hidden = np.array(sharpness, dtype=np.float32), np.array(covered, dtype=np.bool_)
    return Lenders(mouths, np.stack(glances), edges, hidden)


def mouth_box(landmarks_px: NDArray[np.floating], width_px: int, height_px: int) -> Box:
    """Box around a mouth ``[68, 2]``, as far as it lies within the frame."""
    reach = _REACH * float(mouth_width(landmarks_px))
    middle = landmarks_px[OUTER_LIPS].mean(axis=0)
    limit = np.array([width_px, height_px])
    low = np.floor(middle - reach).astype(int).clip(0, limit - 1)
    high = (np.ceil(middle + reach).astype(int) + 1).clip(low + 1, limit)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _around(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _of_part(rgb: UInt8Array, part: Box, box: Box) -> UInt8Array:
    """Pixels of a box of the frame, of which a part is there."""
    return rgb[box[1] - part[1] : box[3] - part[1], box[0] - part[0] : box[2] - part[0]]


def find_flaws(lenders: Lenders, moves: Float64Array, usual: UsualFace | None) -> Float64Array:
    """Say what speaks against the candidates of one shot.

    Args:
        lenders: ``K`` of them.
        moves: ``[K, D]``, pose and lips.
        usual: how the shot shows the face; ``None`` if that is unknown.

    Returns:
        ``[K]``: 0 for good ones, up to 1 for blurred ones, 1 and more for hidden ones.
    """
    edges = _BLURRED * max(float(np.median(lenders.sharpness)), 1e-6)
    flaws = np.clip(1 - lenders.sharpness / edges, 0, 1).astype(np.float64)
    if usual is not None:
        pairs = zip(lenders.glances, moves, strict=True)
        flaws += [usual.amount(usual.find_strange(*pair)) for pair in pairs]
    return flaws


def _strength_of_edges(picture: UInt8Array) -> float:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(gray, cv2.CV_32F)).mean())
