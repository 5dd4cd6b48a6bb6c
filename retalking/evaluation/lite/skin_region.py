"""Where flicker is looked for."""

from __future__ import annotations

import numpy as np

from retalking.face.crops import LIP_PX
from retalking.ibug68 import MOUTH
from retalking.rendering.masks import lower_face_mask
from retalking.types import BoolArray, FloatArray


def skin_region(landmarks_px: FloatArray) -> BoolArray:
    """Where the edit shows but the mouth does not move.

    Args:
        landmarks_px: ``[F, 68, 2]`` of a clip's true faces in the lip crop.

    Returns:
        bool ``[384, 384]``: inside the lower face's mask, outside the box that holds the lips of
        every frame.
    """
    region = lower_face_mask(landmarks_px.mean(axis=0)) > 0.5
    lips = landmarks_px[:, MOUTH].reshape(-1, 2)
    (left, top), (right, bottom) = np.floor(lips.min(0)), np.ceil(lips.max(0))
    position = np.arange(LIP_PX)
    down = (position >= top) & (position <= bottom)
    across = (position >= left) & (position <= right)
    return region & ~np.outer(down, across)
