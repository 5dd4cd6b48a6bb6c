"""The pattern of the picture's mark: large cells of the lower face that turn a little bluer.

Blue against yellow is what eyes see least of, and what a moving mouth changes least; lightness,
edges and texture stay as they are. Each cell sways with a few frequencies at once, with phases of
its own given by two chips each, so that all cells together never turn and nothing flickers. A face
itself hardly changes with exactly these frequencies. Where the time begins need not be known: the
detector tries the beginnings.
"""

from __future__ import annotations

import cv2
import numpy as np

from retalking.face.crops import LIP_PX, lip_crops
from retalking.trust.payload_code import PayloadCode
from retalking.types import Float64Array, FloatArray

GRID_PX = 96
"""Side of the small lip crop in which mark and detector work."""
FREQUENCIES_HZ = (0.75, 1.25, 1.75, 2.25)
REPEATS_S = 2.0
"""After this time the frequencies stand to one another as before."""
NUM_COLUMNS = 12
NUM_ROWS = 6
"""Cells of the lower half of the lip crop; most mouths leave the upper one alone."""
NUM_CELLS = NUM_ROWS * NUM_COLUMNS
CHIPS = (len(FREQUENCIES_HZ), 2, NUM_CELLS)
"""A cosine and a sine of each frequency in each cell."""
CELL_PX = GRID_PX // NUM_COLUMNS
BLUE = np.array([0.0, -0.344136, 1.772], dtype=np.float32)
"""What one level of Cb (ITU-T T.871) adds to red, green and blue; lightness stays."""

NUM_COLORS = 3
_TO_COLORS = np.array(
    [[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312], [0.299, 0.587, 0.114]],
    dtype=np.float32,
)
_SHRINK = LIP_PX // GRID_PX


def mark_crops(anchors_px: Float64Array) -> Float64Array:
    """Transforms ``[..., 2, 3]`` from frame to the small lip crop, for anchors ``[..., 3, 2]``.

    The crop has the usual room around the face, whatever ``--pads`` says: a detector cannot know.
    """
    small = lip_crops(anchors_px) / _SHRINK
    small[..., 2] -= (1 - 1 / _SHRINK) / 2  # the corner of the first pixel stays where it is
    return small


def picture_code(key: bytes) -> PayloadCode:
    """Return the code of the picture's chips, laid out as ``CHIPS`` says."""
    return PayloadCode(key, "picture", int(np.prod(CHIPS)))


def colors(rgb: FloatArray) -> FloatArray:
    """Return Cb, which the mark changes, Cr and lightness, which it does not.

    Args:
        rgb: float32 ``[h, w, 3]`` in 0..255.

    Returns:
        float32 ``[h, w, 3]``, the first two about 0.
    """
    return cv2.transform(rgb, _TO_COLORS).astype(np.float32, copy=False)


class Pattern:
    """The pattern of one payload."""

    def __init__(self, code: PayloadCode, user: int) -> None:
        """Draw it.

        Args:
            code: of ``picture_code``.
            user: 16 bits.
        """
        parts = code.signs(user).reshape(-1, NUM_ROWS, NUM_COLUMNS)
        drawn = np.stack([_draw(part) for part in parts])
        self._waves = drawn.reshape(2 * len(FREQUENCIES_HZ), -1)

    def at(self, time_s: float) -> FloatArray:
        """Return the pattern of a moment: float32 ``[96, 96]``, of about unit power."""
        angles = 2 * np.pi * time_s * np.array(FREQUENCIES_HZ)
        shares = np.stack([np.cos(angles), np.sin(angles)], axis=1).ravel()
        shares /= np.sqrt(len(FREQUENCIES_HZ))
        turned: FloatArray = shares.astype(np.float32) @ self._waves
        return turned.reshape(GRID_PX, GRID_PX)


def _draw(signs: FloatArray) -> FloatArray:
    cells = np.zeros((NUM_COLUMNS, NUM_COLUMNS), dtype=np.float32)
    cells[NUM_COLUMNS - NUM_ROWS :] = signs
    drawn = cv2.resize(cells, (GRID_PX, GRID_PX), interpolation=cv2.INTER_CUBIC)
    return drawn.astype(np.float32, copy=False)
