"""Which part of every frame a network mouth needs: of one size, so that parts make batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.face.crops import LIP_PX, crop_bounds
from retalking.rendering.scene import Scene
from retalking.types import Float64Array, IntArray

_GRID_PX = 64
"""Parts begin at such steps from where a paste-back on the CPU begins: its bands do, too."""


@dataclass(frozen=True)
class FrameParts:
    """Parts of the frames of a video.

    Attributes:
        size_px: width and height.
        corners_px: int64 ``[F, 2]``, x and y; of no meaning in frames without a face.
        heights_px: int64 ``[F]``, of the box of the lip crop alone.
    """

    size_px: tuple[int, int]
    corners_px: IntArray
    heights_px: IntArray

    @classmethod
    def of(cls, scene: Scene, *others: tuple[Float64Array, int]) -> FrameParts:
        """Find parts that hold the lip crop and others.

        Args:
            scene: the video.
            others: float64 ``[F, 2, 3]``, frame to another crop, and the side of that.
        """
        info, seen = scene.source.info, np.flatnonzero(scene.analysis.track.detected)
        limit = np.array([info.width_px, info.height_px])
        num_frames, wanted = len(scene.to_lips), ((scene.to_lips, LIP_PX), *others)
        corners, ends = (np.zeros((num_frames, 2), np.int64) for _ in range(2))
        heights = np.zeros(num_frames, np.int64)
        for frame in seen.tolist():
            boxes = np.array(
                [crop_bounds(crops[frame], px, *limit.tolist()) for crops, px in wanted]
            )
            lips, low = boxes[0], boxes[:, :2].min(axis=0)
            aligned = lips[:2] - _GRID_PX * -(-(lips[:2] - low) // _GRID_PX)
            corners[frame] = np.where(aligned < 0, 0, aligned)
            heights[frame] = lips[3] - lips[1]
            ends[frame] = boxes[:, 2:].max(axis=0)
        size = np.minimum((ends - corners)[seen].max(axis=0), limit)
        return cls((int(size[0]), int(size[1])), np.minimum(corners, limit - size), heights)
