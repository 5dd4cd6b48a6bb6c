"""What the first pass says about a speaker: head, face and lips in every frame.

``F`` counts frames of the source, ``A`` any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.coefficients.basis import ExpressionBasis
from retalking.face.crops import Pads, lip_crops_of, smooth_anchors
from retalking.face.smoothing import smooth_track
from retalking.mouth.warp.face_model import FaceModel, fit_face
from retalking.mouth.warp.head import Head, follow_head
from retalking.mouth.warp.lending.faces import LendingFaces
from retalking.mouth.warp.lip_measures import NUM_MEASURES, measure_lips, meet_lips
from retalking.mouth.warp.lip_range import LipRange, measure_range
from retalking.mouth.warp.turns import level_lips, turn_terms
from retalking.types import FaceTrack, Float64Array, FloatArray, IntArray

_FROM_FRAME = slice(17, 48)  # brows, nose and eyes, which stay where they are
_RESIDUAL_WINDOW, _RESIDUAL_ORDER = 9, 1  # of the filter over what the model does not explain
_MOST_FITTED = 6000  # frames that the model is fitted to, spread evenly


@dataclass(frozen=True)
class Speaker:
    """A speaker through a video; rows of frames without a face mean nothing.

    Attributes:
        head: poses.
        model: of the face.
        range: of the lips.
        lips: float64 ``[F, 5]``, measures as they are, of ``level_lips``.
        to_lips: float64 ``[F, 2, 3]``, frames to lip crops.
        landmarks_px: float32 ``[F, 68, 3]`` with depth. What the model explains is taken from it,
            so that the trembling of landmarks does not become that of lips.
    """

    head: Head
    model: FaceModel
    range: LipRange
    lips: Float64Array
    to_lips: Float64Array
    landmarks_px: FloatArray

    def faces(self, frames: IntArray) -> LendingFaces:
        """Return where the face stands in some frames."""
        return LendingFaces(
            self.landmarks_px[frames],
            self.to_lips[frames],
            self.head.pose.scale_px[frames],
            self.head.angles[frames],
            self.lips[frames],
        )

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


def study_speaker(
    track: FaceTrack, basis: ExpressionBasis, pads: Pads, known: LipRange | None = None
) -> Speaker:
    """Fit everything that is known of a speaker.

    Args:
        track: at least one frame shows the face.
        basis: what people have in common.
        pads: room around the face in the lip crop.
        known: range of the lips in other videos of the speaker.
    """
    head, landmarks = follow_head(track, basis)
    seen = np.flatnonzero(track.detected)
    lips = scratch.zeros((len(track), NUM_MEASURES), np.float64)
    for rows in _blocks(seen):
        lips[rows] = measure_lips(head.shapes(landmarks, rows))
    lips[seen] = level_lips(lips[seen], head.angles[seen])
    some = seen[:: -(-len(seen) // _MOST_FITTED)]
    shapes = scratch.zeros((len(some), 68, 3), np.float64)
    for part in scratch.blocks(len(some)):
        shapes[part] = head.shapes(landmarks, some[part])
    model = fit_face(shapes, lips[some], head.angles[some], basis)
    rest = scratch.zeros(landmarks.shape, np.float32)
    for rows in _blocks(seen):
        rest[rows] = head.shapes(landmarks, rows) - model.shapes(lips[rows], head.angles[rows])
    rest = smooth_track(rest, track.detected, track.shot_id, _RESIDUAL_WINDOW, _RESIDUAL_ORDER)
    for rows in _blocks(seen):
        steady = model.shapes(lips[rows], head.angles[rows]) + rest[rows]
        landmarks[rows] = head.place(steady, rows)
    to_lips = lip_crops_of(smooth_anchors(track), pads)
    lip_range = measure_range(lips[seen], known)
    return Speaker(head, model, lip_range, lips, to_lips, landmarks)


def _blocks(frames: IntArray) -> Iterator[IntArray]:
    """Cut frames into parts that are worked on at once."""
    for rows in scratch.blocks(len(frames)):
        yield frames[rows]
