"""Faces that lie on their side or upside down, as in films whose note of the rotation was lost."""

from __future__ import annotations

import numpy as np

from retalking.face.detection import FaceDetector
from retalking.face.landmarks import Landmarker
from retalking.types import UInt8Array

_CERTAIN = 0.9  # as of a face that no cascade vouches for


def find_turn(rgb: UInt8Array, detector: FaceDetector, landmarker: Landmarker) -> int | None:
    """Return how a picture is to be turned so that it shows an upright face.

    Args:
        rgb: uint8 ``[H, W, 3]``, in which no face is found as it is.
        detector: finds faces.
        landmarker: says how certain they are.

    Returns:
        90, 180 or 270 degrees clockwise, whichever shows the most certain face; or ``None``.
    """
    found: dict[int, float] = {}
    for turn_deg in (90, 180, 270):
        turned = np.ascontiguousarray(np.rot90(rgb, -(turn_deg // 90)))
        boxes = detector.detect(turned)
        if len(boxes):
            found[turn_deg] = float(landmarker.predict(turned, boxes)[1].max())
    best = max(found, key=found.__getitem__, default=None)
    return best if best is not None and found[best] > _CERTAIN else None
