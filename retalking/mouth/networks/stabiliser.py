"""D-Net on the faces of a video: the same face with a frozen expression (paper, section 3.1).

Inference and the making of L-Net's training references go through here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from models.dnet import DNet
from retalking.coefficients.windows import coefficient_windows
from retalking.face.affine import transform_points
from retalking.face.crops import STABILISER_PX, Pads, enlarge_crops, lip_crops
from retalking.face.landmarks import Landmarker
from retalking.mouth.networks.reference_frames import enlargement
from retalking.mouth.networks.references import References, locate_references, restore_references
from retalking.networks.calls import FaceRestorer, edit_expression
from retalking.networks.run import Run
from retalking.timings import Timings
from retalking.types import (
    FaceCoefficients,
    FaceTrack,
    Float64Array,
    FloatArray,
    IntArray,
    UInt8Array,
)


@dataclass(frozen=True)
class StabilisedVideo:
    """What D-Net is told about the faces of a video.

    Attributes:
        track: of the face.
        coefficients: of it.
        crops: float64 ``[F, 2, 3]``, frame to stabiliser crop.
        anchors_px: float64 ``[F, 3, 2]``, eyes and nose in each frame, smoothed.
        template: expression ``[64]`` for every frame.
        scale_ratio: factor of the crop scale, see ``crop_scale_ratio``; 1 unless one-shot.
        pads: room around the face in the lip crop.
    """

    track: FaceTrack
    coefficients: FaceCoefficients
    crops: Float64Array
    anchors_px: Float64Array
    template: FloatArray
    scale_ratio: float = 1.0
    pads: Pads = field(default_factory=Pads)


class Stabiliser:
    """Makes references of the faces of one video.

    Attributes:
        size_px: side of the pictures that D-Net is given.
        crops: float64 ``[F, 2, 3]``, frame to these pictures.
    """

    def __init__(
        self,
        dnet: DNet,
        landmarker: Landmarker,
        video: StabilisedVideo,
        enhancer: FaceRestorer | None = None,
    ) -> None:
        """Prepare for a video.

        Args:
            dnet: freezes the expression.
            landmarker: finds how far D-Net moved a face.
            video: see there.
            enhancer: makes the result sharp (paper 3.3).
        """
        factor = enlargement(dnet)
        self.size_px = factor * STABILISER_PX
        self.crops = enlarge_crops(video.crops, factor)
        self._dnet = dnet
        self._landmarker = landmarker
        self._video = video
        self._enhancer = enhancer

    def windows(self, frames: IntArray) -> FloatArray:
        """Return what D-Net is told: ``coefficient_windows`` of frames ``[A]``."""
        video = self._video
        return coefficient_windows(
            video.coefficients, frames, video.track.shot_id, video.template, video.scale_ratio
        )

    def expect(self, frames: IntArray) -> tuple[Float64Array, Float64Array]:
        """Return landmarks ``[A, 68, 2]`` and anchors ``[A, 3, 2]`` of the frames' own faces."""
        crops, points = self.crops[frames], self._video.track.landmarks_px[frames]
        landmarks = transform_points(crops, points.astype(np.float64))
        return landmarks, transform_points(crops, self._video.anchors_px[frames])

    def edit(
        self, run: Run, pictures: UInt8Array, frames: IntArray, timings: Timings
    ) -> References:
        """Freeze the expression of faces.

        Args:
            run: runs the networks.
            pictures: uint8 ``[A, size_px, size_px, 3]``.
            frames: int64 ``[A]``, whose pose and place they shall have.
            timings: told how long it took.
        """
        with timings.measure("D-Net", len(frames)):
            rgb = edit_expression(run, self._dnet, pictures, self.windows(frames))
        with timings.measure("reference landmarks", len(frames)):
            expected, anchors = self.expect(frames)
            landmarks, drift = locate_references(run, self._landmarker, rgb, expected, anchors)
        references = References(rgb, anchors, drift)
        if self._enhancer is None:
            return references
        with timings.measure("reference enhancer", len(frames)):
            seen = lip_crops(anchors + drift, self._video.pads)
            restored = restore_references(run, self._enhancer, rgb, landmarks, seen)
        return dataclasses.replace(references, restored=restored)
