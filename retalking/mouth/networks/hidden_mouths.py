"""Which frames of a video show a mouth that something hides: a hand, a microphone, a cup."""

from __future__ import annotations

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.affine import transform_points
from retalking.face.crops import Pads
from retalking.media.source import Source
from retalking.mouth.warp.face_area import face_area
from retalking.mouth.warp.speaker import study_speaker
from retalking.mouth.warp.visibility import UsualFace, glance_at_part, glance_bounds
from retalking.rendering.masks import JAW
from retalking.types import BoolArray, IntArray, VideoAnalysis

_TOO_MUCH = 1.0  # of ``UsualFace.amount``


def find_hidden_mouths(
    source: Source, analysis: VideoAnalysis, pads: Pads, frames: IntArray
) -> BoolArray:
    """Look at frames for what is not usually in front of the mouth.

    Args:
        source: the video.
        analysis: of it.
        pads: room around the face in the lip crop.
        frames: int64 ``[K]``, increasing, all with a face; of a shot, a few hundred that are
            typical of it: they also say what is usual.

    Returns:
        bool ``[K]``; all false in a shot with too few frames to know.
    """
    speaker = study_speaker(analysis.track, ExpressionBasis.from_file(), pads)
    crops, info = speaker.to_lips[frames], source.info
    views = [glance_bounds(to_lips, info.width_px, info.height_px) for to_lips in crops]
    parts = source.read_parts(frames, analysis.pts, views)
    glances = np.stack(
        [
            glance_at_part(part, view[:2], to_lips)
            for part, view, to_lips in zip(parts, views, crops, strict=True)
        ]
    )
    hidden = np.zeros(len(frames), dtype=np.bool_)
    shots = analysis.track.shot_id[frames]
    for shot in np.unique(shots):
        rows = np.flatnonzero(shots == shot)
        own, moves = frames[rows], speaker.moves(frames[rows])
        jaws = transform_points(speaker.to_lips[own], speaker.landmarks_px[own][:, JAW, :2])
        usual = UsualFace.of(glances[rows], moves, face_area(jaws))
        if usual is not None:
            for row, glance, move in zip(rows, glances[rows], moves, strict=True):
                hidden[row] = usual.amount(usual.find_strange(glance, move)) > _TOO_MUCH
    return hidden
