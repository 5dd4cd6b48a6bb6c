"""Coordinates between the lips, in which teeth keep their size.

A warp by landmarks stretches whatever is between the lips as they part. Teeth do not stretch: what
is near the upper lip keeps its distance from it, what is near the lower lip from that, and only
what is between them gives way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.types import Float64Array, FloatArray

_UPPER, _LOWER = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]
_STRETCH = 0.6  # of the gap at most is drawn out of nothing
_BESIDE = 3.0  # margins that teeth may reach beyond the corners


@dataclass(frozen=True)
class LipWindow:
    """The gap between the inner lips of a face.

    Attributes:
        corner: ``[2]``, the left one, in pixels.
        along: ``[2]``, unit vector to the other corner.
        length: between the corners, in pixels.
        across: ``[2, 9]``, where points of the upper and lower lip are along the line of corners.
        upper: ``[9]``, how far the upper lip is below that line there.
        lower: ``[9]``, how far the lower lip is.
    """

    corner: Float64Array
    along: Float64Array
    length: float
    across: Float64Array
    upper: Float64Array
    lower: Float64Array

    @classmethod
    def of(cls, landmarks: Float64Array) -> LipWindow:
        """Window of landmarks ``[68, 2]``."""
        corner = landmarks[60]
        length = max(float(np.linalg.norm(landmarks[64] - corner)), 1e-6)
        along = (landmarks[64] - corner) / length
        down = np.array([-along[1], along[0]])
        upper, lower = (_round(landmarks[lip] - corner) for lip in (_UPPER, _LOWER))
        across = np.maximum.accumulate(np.stack([upper @ along, lower @ along]), axis=1)
        return cls(corner, along, length, across, upper @ down, lower @ down)

    def heights(self, across: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Upper and lower lip at places along the line of corners, in pixels below it."""
        upper = np.interp(across, self.across[0], self.upper)
        return upper, np.maximum(np.interp(across, self.across[1], self.lower), upper)

    def locate(self, x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Where pixels are: along the line of corners and below it."""
        from_corner = np.stack([x - self.corner[0], y - self.corner[1]], axis=-1)
        return from_corner @ self.along, from_corner @ np.array([-self.along[1], self.along[0]])

    def place(self, across: Float64Array, down: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Undo ``locate``."""
        x = self.corner[0] + across * self.along[0] - down * self.along[1]
        return x, self.corner[1] + across * self.along[1] + down * self.along[0]


def _round(points: Float64Array) -> Float64Array:
    """Points ``[5, 2]`` of a lip with rounded ones between them: ``[9, 2]``.

    A point between two of three is that of the parabola through them; in the middle, where two
    parabolas meet, it is the mean.
    """
    a, b, c = points[:-2], points[1:-1], points[2:]
    before, after = (3 * a + 6 * b - c) / 8, (3 * c + 6 * b - a) / 8
    between = np.concatenate([before[:1], (before[1:] + after[:-1]) / 2, after[-1:]])
    rounded = np.empty((9, 2))
    rounded[::2], rounded[1::2] = points, between
    return rounded


@dataclass(frozen=True)
class Gap:
    """Pixels of a box and the gap between the lips above and below them.

    Attributes:
        across: float64 ``[h, w]``, along the line of corners, in pixels.
        below_upper: float64 ``[h, w]``, how far a pixel is below the upper lip.
        height: float64 ``[h, w]``, of the gap in its column.
        within: float64 ``[h, w]``, how deep a pixel lies between the lips; negative outside.
    """

    across: Float64Array
    below_upper: Float64Array
    height: Float64Array
    within: Float64Array


def look_between(window: LipWindow, x: Float64Array, y: Float64Array) -> Gap:
    """Describe pixels ``x``, ``y`` of a picture."""
    across, down = window.locate(x, y)
    upper, lower = window.heights(across)
    within = np.minimum(down - upper, lower - down)
    within = np.minimum(within, np.minimum(across, window.length - across))
    return Gap(across, down - upper, lower - upper, within)


def keep_teeth(
    gap: Gap, goal: LipWindow, lender: LipWindow, scale: float
) -> tuple[FloatArray, FloatArray]:
    """Where what is between the lips comes from.

    Args:
        gap: of the goal.
        goal: lips as they shall be.
        lender: lips of the picture that lends.
        scale: pixels of the lender per pixel of the goal.

    Returns:
        x and y in the lender's picture, float32 ``[h, w]``.
    """
    across = gap.across * (lender.length / goal.length)
    upper, lower = lender.heights(across)
    height, theirs = gap.height * scale, lower - upper
    share = np.clip(gap.below_upper / np.maximum(gap.height, 1e-3), 0, 1)
    lower_half = share * share * (3 - 2 * share)
    more = np.maximum(theirs - height, -_STRETCH * height)
    down = gap.below_upper * scale + lower_half * more
    x, y = lender.place(across, upper + np.minimum(down, theirs))
    return x.astype(np.float32), y.astype(np.float32)


def hide_inside(
    gap: Gap, lender: LipWindow, x: FloatArray, y: FloatArray, margin_px: float
) -> tuple[FloatArray, FloatArray]:
    """Keep what is between the lender's lips off the lips: where lips meet, no teeth show.

    Args:
        gap: of the goal.
        lender: lips of the picture that lends.
        x: float32 ``[h, w]``, where pixels of the goal come from.
        y: float32 ``[h, w]``.
        margin_px: how far beyond the landmarks of the lender's lips its teeth may reach.

    Returns:
        x and y, moved to the nearer lip where they were between them.
    """
    across, down = lender.locate(x.astype(np.float64), y.astype(np.float64))
    upper, lower = lender.heights(across)
    above = gap.below_upper < gap.height / 2
    lip = np.where(above, np.minimum(down, upper - margin_px), np.maximum(down, lower + margin_px))
    beside = np.maximum(-across, across - lender.length) > _BESIDE * margin_px
    found_x, found_y = lender.place(across, np.where(beside, down, lip))
    return found_x.astype(np.float32), found_y.astype(np.float32)
