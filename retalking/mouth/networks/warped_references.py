"""References without D-Net that are in place: quiet frames, warped into the pose of others.

Where the landmarks go is told by the head's pose and the quiet frame's own lips; those of the frame
that is edited are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.affine import transform_points
from retalking.face.crops import STABILISER_PX, Pads, cut, enlarge_crops
from retalking.media.source import Source
from retalking.mouth.warp.mesh import add_ring, triangulate, warp_map
from retalking.mouth.warp.speaker import Speaker, study_speaker
from retalking.types import Float64Array, IntArray, UInt8Array, VideoAnalysis

_FACTOR = 2
_SIDE_PX = _FACTOR * STABILISER_PX
_IN_PLACE = np.eye(2, 3)


@dataclass(frozen=True)
class _Lent:
    """A quiet frame.

    Attributes:
        rgb: uint8 ``[512, 512, 3]``, its stabiliser crop.
        points: float64 ``[P, 3]``, its landmarks in that crop, and a ring around them.
        triangles: int64 ``[T, 3]`` of these.
    """

    rgb: UInt8Array
    points: Float64Array
    triangles: IntArray


@dataclass(frozen=True)
class WarpedReferences:
    """Reference pictures of a video.

    Attributes:
        index: int64 ``[F]``, the frame that serves each frame as reference; -1 without a face.
        anchors_px: float64 ``[F, 3, 2]``, eyes and nose in pixels of the frame.
        crops: float64 ``[F, 2, 3]``, frames to stabiliser crops of 512 px.
    """

    index: IntArray
    anchors_px: Float64Array
    crops: Float64Array
    _speaker: Speaker
    _lent: Mapping[int, _Lent]

    @classmethod
    def read(
        cls,
        source: Source,
        analysis: VideoAnalysis,
        anchors_px: Float64Array,
        index: IntArray,
        pads: Pads,
    ) -> WarpedReferences:
        """Read the pictures of the chosen frames.

        Args:
            source: the video.
            analysis: of it.
            anchors_px: float64 ``[F, 3, 2]`` in pixels of the frame.
            index: int64 ``[F]``, the frame chosen for each; -1 without a face.
            pads: room around the face in the lip crop.
        """
        speaker = study_speaker(analysis.track, ExpressionBasis.from_file(), pads)
        crops = enlarge_crops(analysis.crops, _FACTOR)
        needed = np.unique(index[index >= 0])
        lent = {}
        for chunk in source.read_frames(needed, analysis.pts, 1):
            frame = int(needed[chunk.start])
            to_lips = speaker.to_lips[frame]
            points = add_ring(speaker.landmarks_px[frame], to_lips)
            lent[frame] = _Lent(
                cut(chunk.rgb[0], crops[frame], _SIDE_PX),
                _place(points, crops[frame]),
                triangulate(transform_points(to_lips, points[:, :2])),
            )
        return cls(index, anchors_px, crops, speaker, lent)

    def of(self, frames: IntArray) -> tuple[UInt8Array, Float64Array]:
        """Return crops ``[A, 512, 512, 3]`` and anchors ``[A, 3, 2]`` for frames ``[A]``."""
        chosen = self.index[frames]
        targets = self._speaker.aim(self._speaker.lips[chosen], frames)
        pictures = []
        for number, frame, target in zip(chosen.tolist(), frames.tolist(), targets, strict=True):
            to_lips, to_crop = self._speaker.to_lips[frame], self.crops[frame]
            goal = _place(add_ring(target, to_lips), to_crop)
            pictures.append(_warp(self._lent[number], goal, _scale(to_crop) / _scale(to_lips)))
        return np.stack(pictures), transform_points(self.crops[frames], self.anchors_px[frames])


def _place(points: Float64Array, to_crop: Float64Array) -> Float64Array:
    """Bring points ``[P, 3]`` of the frame into a crop."""
    flat = transform_points(to_crop, points[:, :2])
    return np.concatenate([flat, _scale(to_crop) * points[:, 2:]], axis=1)


def _scale(to_crop: Float64Array) -> float:
    return float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))


def _warp(lent: _Lent, goal: Float64Array, scale: float) -> UInt8Array:
    box = (0, 0, _SIDE_PX, _SIDE_PX)
    field = warp_map(lent.triangles, lent.points, goal, _IN_PLACE, box, scale)
    return np.rint(field.pull(lent.rgb).clip(0, 255)).astype(np.uint8)
