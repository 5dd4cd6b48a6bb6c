"""Affine warps of batches, in the fixed-point arithmetic of ``cv2.warpAffine``.

``N`` counts pictures. What is computed of a transform on the host are a few rows of integers, so
that the same pixels are sampled wherever this runs, in whatever precision it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retalking.face.affine import invert_affine
from retalking.types import Float64Array, FloatArray, IntArray

_FINE, _STEPS = 1024, 32
"""Parts of a pixel in which OpenCV adds coordinates, and between which it interpolates."""
_WEIGHTS = 2048
"""Parts of the weights by which OpenCV resizes."""


@dataclass(frozen=True)
class Warp:
    """Where the pixels of results lie in pictures, in 1/1024 px.

    Attributes:
        across: int32 ``[N, 2, w]``, what each column adds to x and y.
        down: int32 ``[N, 2, h]``, what each row adds.
    """

    across: Tensor
    down: Tensor

    @classmethod
    def of(cls, matrices: Float64Array, size_px: tuple[int, int]) -> Warp:
        """Prepare transforms.

        Args:
            matrices: ``[N, 2, 3]``, picture to result.
            size_px: width and height of the results.
        """
        back = _FINE * invert_affine(matrices)
        x, y = (np.arange(side) for side in size_px)
        across = np.rint(back[:, :, :1] * x)
        down = np.rint(back[:, :, 1:2] * y + back[:, :, 2:]) + _FINE // _STEPS // 2
        return cls(*(torch.from_numpy(part.astype(np.int32)) for part in (across, down)))

    def to(self, device: torch.device) -> Warp:
        """Return the same on a device, which need not wait for it."""
        return Warp(*(part.to(device, non_blocking=True) for part in (self.across, self.down)))

    def apply(self, pictures: Tensor, repeats_edge: bool = False) -> Tensor:
        """Sample pictures.

        Args:
            pictures: float32 ``[N, C, H, W]``.
            repeats_edge: whether the edge goes on beyond the picture; else there is zero.

        Returns:
            float32 ``[N, C, h, w]``.
        """
        places = self.across[:, :, None] + self.down[..., None]
        places = torch.div(places, _FINE // _STEPS, rounding_mode="floor")
        whole = torch.div(places, _STEPS, rounding_mode="floor")
        share = (places - _STEPS * whole).to(pictures.dtype) / _STEPS
        (x, y), (right, lower) = whole.unbind(1), share[:, :, None].unbind(1)
        above, below = (
            torch.lerp(
                _pick(pictures, x, row, repeats_edge),
                _pick(pictures, x + 1, row, repeats_edge),
                right,
            )
            for row in (y, y + 1)
        )
        return torch.lerp(above, below, lower)


def _pick(pictures: Tensor, x: Tensor, y: Tensor, repeats_edge: bool) -> Tensor:
    """Pixels ``[N, C, h, w]`` at int32 ``[N, h, w]``."""
    height, width = pictures.shape[2:]
    places = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten(1).long()
    picked = pictures.flatten(2).gather(2, places[:, None].expand(-1, pictures.shape[1], -1))
    picked = picked.unflatten(2, x.shape[1:])
    if repeats_edge:
        return picked
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return picked * within[:, None]


def resample(
    pictures: Tensor,
    matrices: Float64Array,
    size_px: tuple[int, int],
    repeats_edge: bool = False,
    rounds: bool = False,
) -> Tensor:
    """``retalking.face.crops.warp`` of a batch.

    Args:
        pictures: float32 ``[N, C, H, W]``.
        matrices: ``[N, 2, 3]``, picture to result.
        size_px: width and height of the results.
        repeats_edge: whether the edge goes on beyond the picture; else there is zero.
        rounds: to whole numbers, as pictures of bytes are.

    Returns:
        float32 ``[N, C, height, width]``.
    """
    shrinks = np.array([_shrink_of(matrix) for matrix in matrices])
    if len(np.unique(shrinks)) > 1:  # faces of about the size where averaging begins
        results = pictures.new_empty((len(pictures), pictures.shape[1], *size_px[::-1]))
        for shrink in np.unique(shrinks).tolist():
            rows = np.flatnonzero(shrinks == shrink)
            part = resample(pictures[rows], matrices[rows], size_px, repeats_edge, rounds)
            results[rows] = part
        return results
    shrink = int(shrinks[0])
    if shrink > 1:
        height, width = pictures.shape[2:]
        small = (max(width // shrink, 1), max(height // shrink, 1))
        ratio = np.array([width / small[0], height / small[1]])
        offset = matrices[:, :, :2] @ (ratio / 2 - 0.5) + matrices[:, :, 2]
        matrices = np.concatenate([matrices[:, :, :2] * ratio, offset[..., None]], axis=2)
        pictures = shrunk(pictures, small, rounds)
    sampled = Warp.of(matrices, size_px).to(pictures.device).apply(pictures, repeats_edge)
    return _nearest(sampled) if rounds else sampled


def resized(pictures: Tensor, taps: Tensor) -> Tensor:
    """``cv2.resize`` of parts of pictures of bytes, in its fixed-point arithmetic; zero beyond.

    Args:
        pictures: float32 ``[N, C, H, W]``, whole numbers.
        taps: int32 ``[N, 2, 4, S]`` of ``resizing_taps``, where the pictures are.

    Returns:
        float32 ``[N, C, S, S]``, whole numbers.
    """
    columns, rows = (taps[:, axis].unbind(1) for axis in (0, 1))
    across = []
    left, right = (weight[:, None, None] for weight in columns[2:])
    for row in rows[:2]:
        near, far = (
            _pick(pictures, x, y, repeats_edge=False).int()
            for x, y in (torch.broadcast_tensors(x[:, None], row[..., None]) for x in columns[:2])
        )
        across.append((left * near + right * far) >> 4)
    above, below = (
        (weight[:, None, :, None] * part) >> 16
        for weight, part in zip(rows[2:], across, strict=True)
    )
    return ((above + below + 2) >> 2).float()


def resizing_taps(boxes_px: IntArray, size_px: int) -> NDArray[np.int32]:
    """Say where the pixels of a resized part come from.

    Args:
        boxes_px: int64 ``[N, 4]``: x1, y1, x2, y2 in the picture; may reach beyond it.
        size_px: side of the results.

    Returns:
        int32 ``[N, 2, 4, size_px]``: across and down, the places of the two pixels between which
        each lies, and their weights in 1/2048.
    """
    low, lengths = boxes_px[:, :2, None], (boxes_px[:, 2:] - boxes_px[:, :2])[..., None]
    places = ((np.arange(size_px) + 0.5) * (lengths / size_px) - 0.5).astype(np.float32)
    first = np.floor(places)
    share = places - first
    pixels = [low + np.clip(pixel, 0, lengths - 1) for pixel in (first, first + 1)]
    weights = [np.rint(part * np.float32(_WEIGHTS)) for part in (1 - share, share)]
    return np.stack([*pixels, *weights], axis=2).astype(np.int32)


def _shrink_of(matrix: Float64Array) -> int:
    """By how much a picture is averaged before it is sampled, as ``face.crops.warp`` does."""
    return max(int(1 / np.sqrt((matrix[:, :2] ** 2).sum(axis=1)).max()), 1)


def shrunk(pictures: Tensor, size_px: tuple[int, int], rounds: bool = False) -> Tensor:
    """Average pictures ``[N, C, H, W]`` over areas, as ``cv2.INTER_AREA`` does.

    Args:
        pictures: float32.
        size_px: width and height of the results.
        rounds: to whole numbers, as OpenCV does with bytes.
    """
    height, width = pictures.shape[2:]
    if (width, height) == size_px:
        return pictures
    across, down = (
        _areas(*sides, pictures.device) for sides in ((width, size_px[0]), (height, size_px[1]))
    )
    averaged = down @ pictures @ across.T
    return _nearest(averaged) if rounds else averaged


@lru_cache(maxsize=32)
def _areas(length: int, num_areas: int, device: torch.device) -> Tensor:
    return torch.from_numpy(area_weights(length, num_areas)).to(device)


def area_weights(length: int, num_areas: int) -> FloatArray:
    """How much of each of ``length`` pixels is in each area: float32 ``[num_areas, length]``."""
    edges = np.arange(num_areas + 1) * (length / num_areas)
    pixels: NDArray[np.int64] = np.arange(length)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: FloatArray = (np.maximum(shared, 0) * (num_areas / length)).astype(np.float32)
    return weights


def _nearest(levels: Tensor) -> Tensor:
    """Round as OpenCV's fixed point does: a half goes up."""
    return (levels + 0.5).floor()
