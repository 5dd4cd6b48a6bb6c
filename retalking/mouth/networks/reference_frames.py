"""References that come from other frames of the video than the one that is edited.

A frame that is its own reference hands its lips on: entirely without D-Net (the paper's ablation
"L-Net + E-Net"), and as far as a small D-Net leaves a rest of them. A quiet frame, in which the
lips are closed, has none to hand on; of a few of them, each frame takes the one whose head pose is
nearest. A mouth behind a hand or a microphone is no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.dnet import DNet
from retalking.face.affine import transform_points
from retalking.face.crops import STABILISER_PX, cut, enlarge_crops
from retalking.ibug68 import lip_opening
from retalking.media.source import Source
from retalking.types import FaceTrack, Float64Array, IntArray, UInt8Array, VideoAnalysis

_NUM_FRAMES = 12
_QUIET_SHARE = 0.2  # of the frames of a shot, those with the lips closest together
_MOST_QUIET = 300  # frames of a shot, which are looked at


@dataclass(frozen=True)
class ReferenceFrames:
    """Reference pictures of a video.

    Attributes:
        index: int64 ``[F]``, the frame that serves each frame as reference; -1 without a face.
        rgb: uint8 ``[S, S, 3]`` stabiliser crops by frame.
        anchors_px: float64 ``[3, 2]`` eyes and nose in these crops by frame.
    """

    index: IntArray
    rgb: Mapping[int, UInt8Array]
    anchors_px: Mapping[int, Float64Array]

    def of(self, frames: IntArray) -> tuple[UInt8Array, Float64Array]:
        """Return pictures ``[A, S, S, 3]`` and anchors ``[A, 3, 2]`` for frames ``[A]``."""
        chosen = self.index[frames].tolist()
        return np.stack([self.rgb[k] for k in chosen]), np.stack(
            [self.anchors_px[k] for k in chosen]
        )


def enlargement(dnet: DNet | None) -> int:
    """Return how much larger than 256 px a D-Net takes its pictures: 2 if it moves pixels."""
    return 2 if dnet is not None and dnet.config.edits_warped else 1


def choose_what_to_look_at(analysis: VideoAnalysis) -> IntArray:
    """Choose the frames that may become references, and some more that tell what is usual.

    Returns:
        int64, increasing: of each shot the quietest, and others spread evenly.
    """
    chosen = []
    for frames in _quietest_first(analysis.track):
        others = frames[_MOST_QUIET:]
        step = -(-len(others) // _MOST_QUIET) or 1
        chosen += [frames[:_MOST_QUIET], np.sort(others)[::step]]
    return np.sort(np.concatenate(chosen))


def choose_quiet_frames(analysis: VideoAnalysis, hidden: IntArray) -> IntArray:
    """Choose a frame for every frame: closed lips, and the head turned most alike.

    Up to twelve quiet frames of each shot are kept, spread over its head poses.

    Args:
        analysis: of the video.
        hidden: frames whose mouth is hidden; they serve only in a shot that has no others.

    Returns:
        int64 ``[F]``; -1 in frames without a face.
    """
    angles = analysis.coefficients.angle.astype(np.float64)
    index = np.full(len(angles), -1, dtype=np.int64)
    for frames in _quietest_first(analysis.track):
        most = min(max(round(_QUIET_SHARE * len(frames)), 1), _MOST_QUIET)
        quiet, next_quiet = frames[:most], frames[most:_MOST_QUIET]
        shown = (part[~np.isin(part, hidden)] for part in (quiet, next_quiet))
        usable = next((part for part in shown if len(part)), quiet)[:most]
        chosen = usable[_spread(angles[usable])]
        distance = np.linalg.norm(angles[frames][:, None] - angles[chosen][None], axis=-1)
        index[frames] = chosen[distance.argmin(axis=1)]
    return index


def _quietest_first(track: FaceTrack) -> list[IntArray]:
    """Frames with a face, shot by shot, those with the lips closest together first."""
    opening = lip_opening(track.landmarks_px.astype(np.float64))
    shots = [
        np.flatnonzero(track.detected & (track.shot_id == shot))
        for shot in np.unique(track.shot_id[track.detected])
    ]
    return [frames[np.argsort(opening[frames], kind="stable")] for frames in shots]


def choose_first_frame(track: FaceTrack) -> IntArray:
    """Choose the first frame with a face for every frame: int64 ``[F]``; -1 without a face."""
    return np.where(track.detected, int(track.detected.argmax()), -1)


def read_reference_frames(
    source: Source,
    analysis: VideoAnalysis,
    anchors_px: Float64Array,
    index: IntArray,
    factor: int = 1,
) -> ReferenceFrames:
    """Read the pictures of the chosen frames.

    Args:
        source: the video.
        analysis: of it.
        anchors_px: float64 ``[F, 3, 2]`` in pixels of the frame.
        index: int64 ``[F]``, the frame chosen for each; -1 without a face.
        factor: how much larger than 256 px the pictures are.
    """
    crops = enlarge_crops(analysis.crops, factor)
    needed = np.unique(index[index >= 0])
    pictures: dict[int, UInt8Array] = {}
    anchors: dict[int, Float64Array] = {}
    for chunk in source.read_frames(needed, analysis.pts, 1):
        frame = int(needed[chunk.start])
        pictures[frame] = cut(chunk.rgb[0], crops[frame], factor * STABILISER_PX)
        anchors[frame] = transform_points(crops[frame], anchors_px[frame])
    return ReferenceFrames(index, pictures, anchors)


def _spread(angles: Float64Array) -> IntArray:
    """Pick rows far from one another, beginning with the first, up to the number kept."""
    kept = [0]
    distance = np.linalg.norm(angles - angles[0], axis=1)
    while len(kept) < min(_NUM_FRAMES, len(angles)) and distance.max() > 0:
        kept.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(angles - angles[kept[-1]], axis=1))
    return np.array(kept, dtype=np.int64)
