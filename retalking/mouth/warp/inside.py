"""What shows between the lips of a warped mouth: the lender's teeth in their size, or painted ones.

``goal`` and ``lender`` are landmarks ``[68, 2 or more]`` in pixels of the frame to be made and of
the lender's picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.ibug68 import INNER_LIPS
from retalking.mouth.warp.lip_window import (
    Gap,
    LipWindow,
    hide_inside,
    keep_teeth,
    look_between,
)
from retalking.mouth.warp.mesh import Box, WarpMap
from retalking.mouth.warp.painting.painted_inside import InsidePainter, skin_color
from retalking.types import Float64Array, FloatArray

_SOFT_PX = 1.5  # of the lip crop: over which the warp of the lips passes into that of the teeth
_ROOM_PX = 8  # of the lip crop: around the inner lips
_LEAST_GAP = (0.02, 0.06)  # in shape units: lips nearer than the first show nothing between them
_CLOSING = (0.15, 0.5)  # of the lender's gap: lips that close further hide all teeth
_MARGIN_PX = 4.0  # of the lip crop: teeth reach so far beyond landmarks of lips
_LENT_SHARE = (0.2, 0.45)  # of the gap: lenders less open than the first lend nothing of it
_SEAM = 0.45  # how much darker the line is along which open lips were closed


@dataclass(frozen=True)
class Parting:
    """How far lips are apart, in shape units.

    Attributes:
        lent: those of the lender.
        wanted: those of the goal.
    """

    lent: float
    wanted: float

    @property
    def emptiness(self) -> float:
        """How much of the inside the lender cannot show, 0..1."""
        shown = _ramp(self.lent / max(self.wanted, 1e-6), _LENT_SHARE)
        return _ramp(self.wanted, _LEAST_GAP) * (1 - shown)

    @property
    def closure(self) -> float:
        """How far open lips are drawn together, 0..1."""
        kept = _ramp(self.wanted / max(self.lent, 1e-6), _CLOSING)
        return _ramp(self.lent, _LEAST_GAP) * (1 - kept)


def show_teeth(
    found: WarpMap,
    lender: Float64Array,
    goal: Float64Array,
    parting: Parting,
    box: Box,
    scale: float,
    size: float,
) -> None:
    """Let what is between the lips keep its size, in place.

    Args:
        found: map of a box of the goal to the lender's picture.
        lender: landmarks.
        goal: landmarks.
        parting: of both.
        box: see ``found``.
        scale: pixels of the frame per pixel of the lip crop.
        size: pixels of the lender's head per pixel of the goal's.
    """
    view = _view(goal, box, _ROOM_PX * scale)
    if view is None:
        return
    window, theirs = LipWindow.of(goal[:, :2]), LipWindow.of(lender[:, :2])
    gap, soft = _look(window, view, box), max(_SOFT_PX * scale, 1.0)
    share = (gap.within / soft).clip(0, 1) * (gap.height / (2 * soft) - 0.5).clip(0, 1)
    share = share.astype(np.float32)
    margin = parting.closure * _MARGIN_PX * scale * size
    x, y = hide_inside(gap, theirs, found.x[view], found.y[view], margin)
    teeth_x, teeth_y = keep_teeth(gap, window, theirs, size)
    found.x[view] = x + share * (teeth_x - x)
    found.y[view] = y + share * (teeth_y - y)


def fill_mouth(
    mouth: FloatArray,
    goal: Float64Array,
    parting: Parting,
    box: Box,
    scale: float,
    unit_px: float,
    painter: InsidePainter,
) -> None:
    """Paint what the lender cannot show, in place: an inside, or the line between closed lips.

    Args:
        mouth: float32 ``[h, w, 3]``, warped onto the goal.
        goal: landmarks.
        parting: of lender and goal.
        box: of the mouth.
        scale: pixels of the frame per pixel of the lip crop.
        unit_px: pixels of the frame per shape unit.
        painter: of insides.
    """
    view = _view(goal, box, _ROOM_PX * scale)
    if max(parting.emptiness, parting.closure) == 0 or view is None:
        return
    window = LipWindow.of(goal[:, :2])
    gap = _look(window, view, box)
    if parting.closure > 0:
        off = (gap.below_upper - gap.height / 2) / max(0.7 * scale, 0.8)
        ends = np.clip(np.minimum(gap.across, window.length - gap.across) / scale, 0, 1)
        line = _SEAM * parting.closure * ends * np.exp(-(off**2))
        mouth[view] *= (1 - line)[..., None].astype(np.float32)
    if parting.emptiness > 0:
        share = parting.emptiness * np.clip(gap.within / 1.5 + 0.5, 0, 1)
        skin = skin_color(mouth, goal[:, :2] - box[:2])
        width = window.length / unit_px
        painted = painter.paint(gap, share > 0, (parting.wanted, width, unit_px), skin)
        mouth[view] += share[..., None].astype(np.float32) * (painted - mouth[view])


def _view(goal: Float64Array, box: Box, room: float) -> tuple[slice, slice] | None:
    """Rows and columns of the box that hold the inner lips."""
    low = np.floor(goal[INNER_LIPS, :2].min(axis=0) - room).astype(int)
    high = np.ceil(goal[INNER_LIPS, :2].max(axis=0) + room).astype(int) + 1
    x1, y1 = (np.maximum(low, box[:2]) - box[:2]).tolist()
    x2, y2 = (np.minimum(high, box[2:]) - box[:2]).tolist()
    return (slice(y1, y2), slice(x1, x2)) if x1 < x2 and y1 < y2 else None


def _look(window: LipWindow, view: tuple[slice, slice], box: Box) -> Gap:
    rows, columns = (
        np.arange(part.start, part.stop, dtype=np.float64) + first
        for part, first in zip(view, (box[1], box[0]), strict=True)
    )
    x, y = np.meshgrid(columns, rows)
    return look_between(window, x, y)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
