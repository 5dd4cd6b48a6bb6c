"""What the first pass says about a speaker: head, face and lips in every frame.

``F`` counts frames of the source, ``A`` any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.crops import Pads, lip_crops, smooth_anchors
from retalking.face.smoothing import smooth_track
from retalking.mouth.warp.face_model import FaceModel, fit_face, turn_terms
from retalking.mouth.warp.head import Head, follow_head
from retalking.mouth.warp.lip_measures import NUM_MEASURES, measure_lips, meet_lips
from retalking.mouth.warp.lip_range import LipRange, measure_range
from retalking.types import FaceTrack, Float64Array, IntArray

_FROM_FRAME = slice(17, 48)  # brows, nose and eyes, which stay where they are
_RESIDUAL_WINDOW, _RESIDUAL_ORDER = 9, 1  # of the filter over what the model does not explain


@dataclass(frozen=True)
class Speaker:
    """A speaker through a video; rows of frames without a face mean nothing.

    Attributes:
        head: poses.
        model: of the face.
        range: of the lips.
        lips: float64 ``[F, 5]``, measures as they are.
        to_lips: float64 ``[F, 2, 3]``, frames to lip crops.
        landmarks_px: float64 ``[F, 68, 3]`` with depth. What the model explains is taken from it,
            so that the trembling of landmarks does not become that of lips.
    """

    head: Head
    model: FaceModel
    range: LipRange
    lips: Float64Array
    to_lips: Float64Array
    landmarks_px: Float64Array

    def moves(self, frames: IntArray) -> Float64Array:
        """Return what changes the look of the lower face: pose and lips ``[A, 9]``."""
        turns = turn_terms(self.head.angles[frames], self.model.mean_angles)
        return np.concatenate([turns, self.lips[frames]], axis=1)

    def aim(self, lips: Float64Array, frames: IntArray) -> Float64Array:
        """Return where landmarks go, in pixels of the frames.

        They depend on the pose of the head and the wanted lips; the frame's own jaw, cheeks and
        lips are not looked at.

        Args:
            lips: wanted measures ``[A, 5]``.
            frames: int64 ``[A]``.

        Returns:
            float64 ``[A, 68, 3]``.
        """
        shapes = meet_lips(self.model.shapes(lips, self.head.angles[frames]))
        target = self.head.place(shapes, frames)
        target[:, _FROM_FRAME] = self.landmarks_px[frames][:, _FROM_FRAME]
        return target


def study_speaker(track: FaceTrack, basis: ExpressionBasis, pads: Pads) -> Speaker:
    """Fit everything that is known of a speaker.

    Args:
        track: at least one frame shows the face.
        basis: what people have in common.
        pads: room around the face in the lip crop.
    """
    head = follow_head(track, basis)
    seen = np.flatnonzero(track.detected)
    shapes = head.shapes(seen)
    model = fit_face(shapes, head.angles[seen], basis)
    lips = np.zeros((len(track), NUM_MEASURES))
    lips[seen] = measure_lips(shapes)
    explained = model.shapes(lips[seen], head.angles[seen])
    rest = np.zeros((len(track), *shapes.shape[1:]), dtype=np.float32)
    rest[seen] = shapes - explained
    rest = smooth_track(rest, track.detected, track.shot_id, _RESIDUAL_WINDOW, _RESIDUAL_ORDER)
    landmarks = head.points_px.copy()
    landmarks[seen] = head.place(explained + rest[seen], seen)
    to_lips = lip_crops(smooth_anchors(track), pads)
    return Speaker(head, model, measure_range(lips[seen]), lips, to_lips, landmarks)
