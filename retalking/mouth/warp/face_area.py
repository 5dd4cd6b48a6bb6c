"""Which pixels of a frame may change: the lower face as far as it reaches anywhere in a shot."""

from __future__ import annotations

import cv2
import numpy as np

from models.blocks.lower_half import EDITED_FROM
from retalking.face.affine import invert_affine, transform_points
from retalking.face.crops import LIP_PX, shift_source, warp
from retalking.mouth.networks.surroundings import outline_face
from retalking.mouth.warp.mesh import Box
from retalking.rendering.masks import edited_band, fill_hull, soften
from retalking.types import Float64Array, FloatArray

_ROOM_PX = 9  # around the jaw


def face_area(jaws_px: Float64Array) -> FloatArray:
    """Mask of a shot in the lip crop.

    Args:
        jaws_px: ``[J, 17, 2]``, jaws in the lip crop, of the frames as they are
            and as they will be.

    Returns:
        float32 ``[384, 384]``, soft.
    """
    jaw = outline_face(jaws_px)
    top = EDITED_FROM * LIP_PX
    lid = [(x, min(y, top)) for x, y in jaw[[-1, 0]]]
    area = fill_hull(np.concatenate([jaw, lid]), LIP_PX)
    grown = cv2.dilate(area, np.ones((_ROOM_PX, _ROOM_PX), dtype=np.uint8))
    mask: FloatArray = soften(grown.astype(np.float32)) * edited_band()
    return mask


def area_box(mask: FloatArray, to_lips: Float64Array) -> Box:
    """Square box of the frame that holds a mask of the lip crop."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x1, x2, y1, y2 = columns[0] - 1, columns[-1] + 1, rows[0] - 1, rows[-1] + 1
    corners = np.array([(x1, y1), (x2, y1), (x1, y2), (x2, y2)], dtype=np.float64)
    reach = transform_points(invert_affine(to_lips), corners)
    low = np.floor(reach.min(axis=0)).astype(int)
    side = int(np.ceil((reach.max(axis=0) - low).max())) + 1
    return int(low[0]), int(low[1]), int(low[0]) + side, int(low[1]) + side


def place_mask(mask: FloatArray, to_lips: Float64Array, box: Box) -> FloatArray:
    """Mask of the lip crop in a box of the frame."""
    x1, y1, x2, y2 = box
    to_box = invert_affine(shift_source(to_lips, x1, y1))
    return warp(mask, to_box, (x2 - x1, y2 - y1))
