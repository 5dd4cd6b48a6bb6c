"""Mouths cut from a dub and from the truth at the same places: sharpness, flicker, likeness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d

from retalking.errors import FaceNotFoundError
from retalking.evaluation.judge.judges import Sight
from retalking.face.crops import cut
from retalking.media.video import VideoReader
from retalking.metrics.face_crops import Restlessness, laplacian_levels
from retalking.types import BoolArray, Float64Array, FloatArray, UInt8Array

MOUTH_PX, FACE_PX = 96, 256
_SMOOTH_FRAMES = 5
_CORNERS, _LIPS = (61, 291), (61, 291, 0, 17)
_FOREHEAD, _CHIN, _NOSE, _EYES = 10, 152, 2, (33, 263)
_MOUTH = (*_LIPS, 37, 267, 84, 314, 13, 14)
_OUTLINE = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Vertices of MediaPipe's mesh."""


@dataclass(frozen=True)
class Mouths:
    """Mouths of a dub and the true ones.

    Attributes:
        true: uint8 RGB ``[N, 96, 96, 3]``.
        made: like ``true``, at the same places.
        flicker: change from frame to frame of the skin beside the mouth over the true one's.
    """

    true: UInt8Array
    made: UInt8Array
    flicker: float

    @property
    def sharpness(self) -> float:
        """Sharpness of the made mouths over that of the true ones."""
        return laplacian_levels(self.made) / max(laplacian_levels(self.true), 1e-6)


def compare_mouths(truth: Path, dub: Path, sight: Sight) -> Mouths:
    """Cut mouths from two videos whose frames correspond.

    Args:
        truth: the video that was dubbed.
        dub: the result.
        sight: MediaPipe's of the truth.

    Raises:
        FaceNotFoundError: the truth shows no face.
        MediaError: a video cannot be read.
    """
    numbers = np.flatnonzero(sight.found)
    if not len(numbers):
        raise FaceNotFoundError(f"{truth}: the judge sees no face")
    points = sight.points[numbers]
    faces = face_matrices(points)
    restlessness = Restlessness(beside_mouth(points, faces))
    true, made = [], []
    rows = dict(zip(numbers.tolist(), range(len(numbers)), strict=True))
    for number, pair in enumerate(zip(read_rgb(truth), read_rgb(dub), strict=False)):
        if number in rows:
            row = rows[number]
            mouth = mouth_matrix(points[row])
            true.append(cut(pair[0], mouth, MOUTH_PX))
            made.append(cut(pair[1], mouth, MOUTH_PX))
            before, after = (cut(frame, faces[row], FACE_PX)[None] for frame in pair)
            restlessness.add(after, before, np.array([number]))
    return Mouths(np.stack(true), np.stack(made), restlessness.ratio)


def mouth_matrix(points: FloatArray) -> Float64Array:
    """Frame to a square of 96 px around the mouth: points ``[478, 2]``, result ``[2, 3]``."""
    height = np.linalg.norm(points[_FOREHEAD] - points[_CHIN])
    reach = 0.75 * np.linalg.norm(points[_CORNERS[0]] - points[_CORNERS[1]]) + 0.05 * height
    return _square(points[list(_LIPS)].mean(axis=0), float(reach), MOUTH_PX)


def face_matrices(points: FloatArray) -> Float64Array:
    """Frame to upright squares of 256 px around the nose, smoothed: ``[F, 478, 2]``, ``[F, 2, 3]``.

    One that trembles with the points would hide what flickers.
    """
    steady = uniform_filter1d(points.astype(np.float64), _SMOOTH_FRAMES, axis=0, mode="nearest")
    return np.stack(
        [
            _square(face[_NOSE], 0.75 * float(np.linalg.norm(face[_FOREHEAD] - face[_CHIN])))
            for face in steady
        ]
    )


def beside_mouth(points: FloatArray, matrices: Float64Array) -> BoolArray:
    """Where the edit shows but the mouth does not move.

    Args:
        points: ``[F, 478, 2]``.
        matrices: ``[F, 2, 3]`` to crops of 256 px.

    Returns:
        bool ``[256, 256]``: the lower face, without the box that holds the lips of every frame.
    """
    placed = np.einsum("fij,fpj->fpi", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    mean = placed.mean(axis=0)
    outline = mean[list(_OUTLINE)]
    lower = outline[outline[:, 1] > mean[_NOSE, 1]]
    mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(lower).astype(np.int32)), 1)
    lips = placed[:, list(_MOUTH)].reshape(-1, 2)
    (left, top), (right, bottom) = np.floor(lips.min(axis=0)), np.ceil(lips.max(axis=0))
    mask[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1] = 0
    return mask > 0


def read_rgb(video: Path) -> Iterator[UInt8Array]:
    """Yield the frames of a video, uint8 ``[H, W, 3]``."""
    with VideoReader(video) as reader:
        for chunk in reader.read_chunks(1):
            yield chunk.rgb[0]


def _square(middle: FloatArray, reach: float, size_px: int = FACE_PX) -> Float64Array:
    scale = size_px / (2 * max(reach, 1.0))
    x, y = size_px / 2 - scale * middle
    return np.array([[scale, 0, x], [0, scale, y]], np.float64)
