"""In which frames something in front of the mouth hides it."""

from __future__ import annotations

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.affine import transform_points
from retalking.ibug68 import JAW
from retalking.mouth.warp.face_area import face_area
from retalking.mouth.warp.lip_measures import NUM_MEASURES
from retalking.mouth.warp.speaker import study_speaker
from retalking.mouth.warp.visibility import UsualFace
from retalking.rendering.scene import Scene
from retalking.types import BoolArray, Float64Array, FloatArray, IntArray, UInt8Array

_MOST_LOOKED_AT = 400  # frames of a shot, from which what is usual is learned
_USUAL_SHARE = 0.55  # of these, nearest to how the shot mostly looks: up to 45 % may be hidden
_HIDDEN = 4.0  # of ``UsualFace.amount``
_KNOWN_POSE = 0.03  # of ``turn_terms``, about 2 degrees from a pose that was learned


def find_hidden(scene: Scene, frames: IntArray, glances: UInt8Array) -> BoolArray:
    """Tell frames in which something lies in front of the lower face.

    Only poses of the head count in which the shot also shows the face without it, so that a turned
    head is no hand. What hides the mouth in most of a shot is taken for the face.

    Args:
        scene: the video.
        frames: int64 ``[K]`` of the source, with a face.
        glances: uint8 ``[K, 24, 48, 3]`` at these, see ``visibility.glance_at``.

    Returns:
        bool ``[K]``.
    """
    hidden = np.zeros(len(frames), np.bool_)
    if not len(frames):
        return hidden
    track = scene.analysis.track
    speaker = study_speaker(track, ExpressionBasis.from_file(), scene.pads)
    for shot in np.unique(track.shot_id[frames]):
        rows = np.flatnonzero(track.shot_id[frames] == shot)
        jaws = transform_points(scene.to_lips[frames[rows]], scene.landmarks_px(frames[rows]))
        moves = speaker.moves(frames[rows])
        hidden[rows] = _find_in_shot(glances[rows], moves, face_area(jaws[:, JAW]))
    return hidden


def _find_in_shot(glances: UInt8Array, moves: Float64Array, area: FloatArray) -> BoolArray:
    some = np.arange(len(glances))[:: -(-len(glances) // _MOST_LOOKED_AT)]
    pictures = glances[some].astype(np.float32)
    pictures -= np.median(pictures, axis=(1, 2), keepdims=True)
    apart = np.abs(pictures - np.median(pictures, axis=0)).mean(axis=(1, 2, 3))
    near = some[apart <= np.quantile(apart, _USUAL_SHARE)]
    usual = UsualFace.of(glances[near], moves[near], area)
    if usual is None:
        return np.zeros(len(glances), np.bool_)
    amounts = [
        usual.amount(usual.find_strange(glance, move))
        for glance, move in zip(glances, moves, strict=True)
    ]
    pose = moves[:, :-NUM_MEASURES]
    unlike = np.linalg.norm(pose[:, None] - pose[near], axis=-1).min(axis=1)
    return (np.array(amounts) >= _HIDDEN) & (unlike < _KNOWN_POSE)
