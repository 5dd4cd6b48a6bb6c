"""What a face's landmarks say about its pose. ``F`` counts frames."""

from __future__ import annotations

import numpy as np

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX
from retalking.ibug68 import NOSE_AND_EYES
from retalking.types import FaceTrack, Float64Array, FloatArray


def describe_pose(track: FaceTrack, lip_crops: Float64Array) -> FloatArray:
    """Where nose and eyes are in the lip crop: near for heads in the same pose.

    Speech moves neither.

    Returns:
        float32 ``[F, 42]`` in shares of the crop's side.
    """
    points = transform_points(lip_crops, track.landmarks_px[:, NOSE_AND_EYES].astype(np.float64))
    return (points / LIP_PX).reshape(len(track), -1).astype(np.float32)
