"""What the cells of a face show while the face is held still.

What hides the mark most is the face itself: skin that moves by a pixel changes a cell by more than
the mark does. So every frame is laid on what the face has looked like around that time, by the
optical flow between the two, smoothed until it moves skin and not single cells. The flow
takes a part of the mark with it, and more of the movement: scores rise by a fifth at crf 28, and by
an eighth at crf 35.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from retalking.face.crops import warp
from retalking.trust.picture.pattern import GRID_PX, NUM_COLUMNS, NUM_ROWS, lightness
from retalking.types import Float64Array, FloatArray, UInt8Array

OFFSETS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Places at which the mark is looked for, in pixels of the small crop, x and y."""

_AROUND_S = 0.6
"""How long before and after a frame others say what the face looks like."""
_STIFFNESS_PX = 8.0  # standard deviation over which the flow is averaged
_CELL_PX = GRID_PX / NUM_COLUMNS
_BLUR = 0.3  # of a cell: what is averaged into its value
_SURROUNDINGS = 2.0  # of a cell: standard deviation of what is taken from it


class CellReader:
    """Reads the cells of a face, frame after frame, with memory for little more than a second."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._near: deque[tuple[float, FloatArray]] = deque()
        self._sum = np.zeros((GRID_PX, GRID_PX))
        self._waiting: deque[tuple[float, FloatArray]] = deque()
        self._cells: list[FloatArray] = []
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def add(self, frame: UInt8Array, to_grid: Float64Array, time_s: float) -> None:
        """Look at the next frame.

        Args:
            frame: uint8 ``[H, W, 3]``.
            to_grid: ``[2, 3]``, frame to small lip crop.
            time_s: later than the one before.
        """
        grid = (GRID_PX, GRID_PX)
        light = lightness(warp(frame.astype(np.float32), to_grid, grid, cv2.BORDER_REPLICATE))
        while self._waiting and self._waiting[0][0] + _AROUND_S < time_s:
            self._read()
        self._near.append((time_s, light))
        self._waiting.append((time_s, light))
        self._sum += light

    def finish(self) -> FloatArray:
        """Return what was seen: float32 ``[T, P, C]`` in levels of 255."""
        while self._waiting:
            self._read()
        if not self._cells:
            return np.zeros((0, len(OFFSETS), NUM_ROWS * NUM_COLUMNS), dtype=np.float32)
        return np.stack(self._cells)

    def _read(self) -> None:
        time_s, light = self._waiting.popleft()
        while self._near[0][0] < time_s - _AROUND_S:
            self._sum -= self._near.popleft()[1]
        usual = (self._sum / len(self._near)).astype(np.float32)
        flow = self._flow.calc(_levels(usual), _levels(light), None)  # type: ignore[call-overload]
        place = _PIXELS + cv2.GaussianBlur(flow, (0, 0), _STIFFNESS_PX)
        still = cv2.remap(light, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        self._cells.append(_cells_of(still))


_PIXELS = np.stack(np.meshgrid(np.arange(GRID_PX), np.arange(GRID_PX)), axis=-1).astype(np.float32)


def _levels(light: FloatArray) -> UInt8Array:
    return np.rint(light).clip(0, 255).astype(np.uint8)


def _cells_of(light: FloatArray) -> FloatArray:
    """The cells ``[P, C]`` of a small crop ``[96, 96]``."""
    detail = light - cv2.GaussianBlur(light, (0, 0), _CELL_PX * _SURROUNDINGS)
    averaged = cv2.GaussianBlur(detail, (0, 0), _CELL_PX * _BLUR)
    values = np.empty((len(OFFSETS), NUM_ROWS * NUM_COLUMNS), dtype=np.float32)
    for place, offset in enumerate(OFFSETS):
        start = (_CELL_PX - 1) / 2 + np.array(offset)
        matrix = np.column_stack([np.eye(2) * _CELL_PX, start])
        cells = cv2.warpAffine(
            averaged,
            matrix,
            (NUM_COLUMNS, NUM_COLUMNS),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        values[place] = cells[NUM_COLUMNS - NUM_ROWS :].ravel()
    return values
