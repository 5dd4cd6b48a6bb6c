"""References without D-Net: frames of the video itself in which the mouth is closed.

The paper's ablation "L-Net + E-Net" does without D-Net. A frame that is its own reference would
hand its lips on, so each takes the one of a few quiet frames whose head pose is nearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retalking.face.affine import transform_points
from retalking.face.crops import STABILISER_PX, cut
from retalking.media.source import Source
from retalking.types import Float64Array, IntArray, UInt8Array, VideoAnalysis

_NUM_FRAMES = 12
_QUIET_SHARE = 0.2  # of the frames of a shot, those with the lips closest together
_UPPER_LIP, _LOWER_LIP = [61, 62, 63], [67, 66, 65]
_EYE_CORNERS = [36, 45]


@dataclass(frozen=True)
class QuietFrames:
    """Reference pictures of a video.

    Attributes:
        index: int64 ``[F]``, the frame that serves each frame as reference; -1 without a face.
        rgb: uint8 ``[256, 256, 3]`` stabiliser crops by frame.
        anchors_px: float64 ``[3, 2]`` eyes and nose in these crops by frame.
    """

    index: IntArray
    rgb: Mapping[int, UInt8Array]
    anchors_px: Mapping[int, Float64Array]

    def of(self, frames: IntArray) -> tuple[UInt8Array, Float64Array]:
        """Return pictures ``[A, 256, 256, 3]`` and anchors ``[A, 3, 2]`` for frames ``[A]``."""
        chosen = self.index[frames].tolist()
        return np.stack([self.rgb[k] for k in chosen]), np.stack(
            [self.anchors_px[k] for k in chosen]
        )


def choose_quiet_frames(analysis: VideoAnalysis) -> IntArray:
    """Choose a reference for every frame: closed lips, and the head turned most alike.

    Up to twelve quiet frames of each shot are kept, spread over its head poses.

    Returns:
        int64 ``[F]``; -1 in frames without a face.
    """
    track, angles = analysis.track, analysis.coefficients.angle.astype(np.float64)
    points = track.landmarks_px.astype(np.float64)
    gap = np.linalg.norm(points[:, _UPPER_LIP] - points[:, _LOWER_LIP], axis=-1).mean(axis=1)
    left, right = points[:, _EYE_CORNERS[0]], points[:, _EYE_CORNERS[1]]
    opening = gap / np.maximum(np.linalg.norm(right - left, axis=-1), 1e-6)
    index = np.full(len(track), -1, dtype=np.int64)
    for shot in np.unique(track.shot_id[track.detected]):
        frames = np.flatnonzero(track.detected & (track.shot_id == shot))
        order = frames[np.argsort(opening[frames], kind="stable")]
        quiet = order[: max(round(_QUIET_SHARE * len(frames)), 1)]
        kept = _spread(angles[quiet])
        chosen = quiet[kept]
        distance = np.linalg.norm(angles[frames][:, None] - angles[chosen][None], axis=-1)
        index[frames] = chosen[distance.argmin(axis=1)]
    return index


def read_quiet_frames(
    source: Source, analysis: VideoAnalysis, anchors_px: Float64Array
) -> QuietFrames:
    """Read the pictures of the chosen frames.

    Args:
        source: the video.
        analysis: of it.
        anchors_px: float64 ``[F, 3, 2]`` in pixels of the frame.
    """
    index = choose_quiet_frames(analysis)
    needed = np.unique(index[index >= 0])
    pictures: dict[int, UInt8Array] = {}
    anchors: dict[int, Float64Array] = {}
    for chunk in source.read_frames(needed, analysis.pts, 1):
        frame = int(needed[chunk.start])
        pictures[frame] = cut(chunk.rgb[0], analysis.crops[frame], STABILISER_PX)
        anchors[frame] = transform_points(analysis.crops[frame], anchors_px[frame])
    return QuietFrames(index, pictures, anchors)


def _spread(angles: Float64Array) -> IntArray:
    """Pick rows far from one another, beginning with the first, up to the number kept."""
    kept = [0]
    distance = np.linalg.norm(angles - angles[0], axis=1)
    while len(kept) < min(_NUM_FRAMES, len(angles)) and distance.max() > 0:
        kept.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(angles - angles[kept[-1]], axis=1))
    return np.array(kept, dtype=np.int64)
