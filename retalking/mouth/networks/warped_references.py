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
from retalking.face.crops import LIP_PX, Pads, cut
from retalking.media.source import Source
from retalking.mouth.warp.mesh import add_ring, triangulate, warp_map
from retalking.mouth.warp.speaker import Speaker, study_speaker
from retalking.types import Float64Array, IntArray, UInt8Array, VideoAnalysis

_IN_PLACE = np.eye(2, 3)
_WHOLE = (0, 0, LIP_PX, LIP_PX)


@dataclass(frozen=True)
class _Lent:
    """A quiet frame.

    Attributes:
        rgb: uint8 ``[384, 384, 3]``, its lip crop.
        points: float64 ``[P, 3]``, its landmarks in the lip crop, and a ring around them.
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
    """

    index: IntArray
    anchors_px: Float64Array
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
        needed = np.unique(index[index >= 0])
        lent = {}
        for chunk in source.read_frames(needed, analysis.pts, 1):
            frame = int(needed[chunk.start])
            to_lips = speaker.to_lips[frame]
            points = _place(speaker.landmarks_px[frame], to_lips)
            lent[frame] = _Lent(
                cut(chunk.rgb[0], to_lips, LIP_PX), points, triangulate(points[:, :2])
            )
        return cls(index, anchors_px, speaker, lent)

    def of(self, frames: IntArray) -> tuple[UInt8Array, Float64Array]:
        """Return lip crops ``[A, 384, 384, 3]`` and anchors ``[A, 3, 2]`` for frames ``[A]``."""
        chosen = self.index[frames]
        targets = self._speaker.aim(self._speaker.lips[chosen], frames)
        to_lips = self._speaker.to_lips[frames]
        pictures = [
            _warp(self._lent[number], _place(target, matrix))
            for number, target, matrix in zip(chosen.tolist(), targets, to_lips, strict=True)
        ]
        return np.stack(pictures), transform_points(to_lips, self.anchors_px[frames])


def _place(points: Float64Array, to_lips: Float64Array) -> Float64Array:
    """Bring landmarks ``[68, 3]`` into the lip crop, and add the ring."""
    scale = float(np.sqrt(abs(np.linalg.det(to_lips[:, :2]))))
    flat = transform_points(to_lips, points[:, :2])
    return add_ring(np.concatenate([flat, scale * points[:, 2:]], axis=1), _IN_PLACE)


def _warp(lent: _Lent, target: Float64Array) -> UInt8Array:
    field = warp_map(lent.triangles, lent.points, target, _IN_PLACE, _WHOLE, 1.0)
    return np.rint(field.pull(lent.rgb).clip(0, 255)).astype(np.uint8)
