"""The pattern of the picture's mark: cells of the lower face that brighten and darken a little.

Each cell turns with a few known frequencies, at phases of its own, given by two chips for each; all
cells together never brighten at once, and nothing flickers. What else moves a face does not know
the phases. The frequencies lie above most of what a mouth does and below what codecs drop first;
cells are large because that is what codecs leave and eyes and face networks see least. Where the
time begins need not be known: another beginning turns the phases of a frequency by the same angle.
"""

from __future__ import annotations

import cv2
import numpy as np

from retalking.face.crops import LIP_PX, lip_crops
from retalking.trust.payload_code import PayloadCode
from retalking.types import Float64Array, FloatArray

GRID_PX = 96
"""Side of the small lip crop in which mark and detector work."""
FREQUENCIES_HZ = (2.0, 2.5, 3.0)
"""Evenly spaced: they meet again after the inverse of their distance."""
NUM_COLUMNS = 12
NUM_ROWS = 6
"""Cells of the lower half of the lip crop; most mouths leave the upper one alone."""

_SHRINK = LIP_PX // GRID_PX


def mark_crops(anchors_px: Float64Array) -> Float64Array:
    """Transforms ``[..., 2, 3]`` from frame to the small lip crop, for anchors ``[..., 3, 2]``.

    The crop has the usual room around the face, whatever ``--pads`` says: a detector cannot know.
    """
    small = lip_crops(anchors_px) / _SHRINK
    small[..., 2] -= (1 - 1 / _SHRINK) / 2  # the corner of the first pixel stays where it is
    return small


def picture_code(key: bytes) -> PayloadCode:
    """Return the code of the picture's chips: by frequency cosines of all cells, then sines."""
    return PayloadCode(key, "picture", 2 * len(FREQUENCIES_HZ) * NUM_ROWS * NUM_COLUMNS)


def lightness(rgb: FloatArray) -> FloatArray:
    """Return what the mark changes of a picture ``[h, w, 3]``: float32 ``[h, w]``."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32, copy=False)


class Pattern:
    """The pattern of one payload."""

    def __init__(self, code: PayloadCode, user: int) -> None:
        """Draw it.

        Args:
            code: of ``picture_code``.
            user: 16 bits.
        """
        parts = code.signs(user).reshape(-1, NUM_ROWS, NUM_COLUMNS)
        self._parts = np.stack([_draw(part) for part in parts])

    def at(self, time_s: float) -> FloatArray:
        """Return the pattern of a moment: float32 ``[96, 96]``, of about the same power always."""
        angles = 2 * np.pi * time_s * np.array(FREQUENCIES_HZ)
        shares = np.stack([np.cos(angles), np.sin(angles)], axis=1).ravel()
        return np.tensordot(shares.astype(np.float32), self._parts, axes=1)


def _draw(signs: FloatArray) -> FloatArray:
    cells = np.zeros((NUM_COLUMNS, NUM_COLUMNS), dtype=np.float32)
    cells[NUM_COLUMNS - NUM_ROWS :] = signs
    drawn = cv2.resize(cells, (GRID_PX, GRID_PX), interpolation=cv2.INTER_CUBIC)
    return drawn.astype(np.float32, copy=False)
