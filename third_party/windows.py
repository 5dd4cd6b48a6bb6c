"""A part of a picture that a decoder alone computes at its last sizes, which cost the most.

Maps of features go by how many times smaller than the picture they are, the *shrink*: 8, 4, 2, 1.
Those at the largest sizes hold the part and a margin around it. Convolutions spoil the margin's
outer pixels, since they do not see what lies beyond; inside, nothing differs from the whole picture
but rounding. Where the part ends at the border of the picture there is no margin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_MARGIN = 6
"""Pixels of every map: as many as two convolutions at each size, and conditions that went through
three more, spoil in GFPGAN; with 5 its window differs from the whole picture."""


@dataclass(frozen=True)
class Window:
    """A part of a square picture.

    Attributes:
        top, left, bottom, right: in pixels, multiples of ``2 ** num_doublings``.
        size_px: side of the picture.
        num_doublings: sizes at which the part alone is computed.
    """

    top: int
    left: int
    bottom: int
    right: int
    size_px: int
    num_doublings: int

    @classmethod
    def whole(cls, size_px: int) -> Window:
        """Return the window that is the picture."""
        return cls(0, 0, size_px, size_px, size_px, 0)

    def scaled(self, size_px: int) -> Window:
        """Return the same part of the picture at another size that divides its own."""
        factor = self.size_px // size_px
        top, left, bottom, right = (
            side // factor for side in (self.top, self.left, self.bottom, self.right)
        )
        return Window(top, left, bottom, right, size_px, self.num_doublings)

    def holds(self, points_px: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell whether points ``[..., N, 2]`` all lie inside, or beyond the picture: ``[...]``."""
        low = [-np.inf if side == 0 else side for side in (self.left, self.top)]
        high = [np.inf if side == self.size_px else side for side in (self.right, self.bottom)]
        inside = (points_px >= low) & (points_px < high)
        return np.asarray(inside.all(axis=(-2, -1)))

    def enter(self, x: Tensor, shrink: int) -> Tensor:
        """Reduce the largest features ``[B, C, H, W]`` that are of the whole picture."""
        return self._cut(x, shrink, 1) if shrink == self._first else x

    def cut(self, x: Tensor, shrink: int) -> Tensor:
        """Reduce features of the whole picture to what ``trim`` leaves."""
        return self._cut(x, shrink, 1) if shrink < self._first else x

    def cut_doubled(self, x: Tensor, shrink: int) -> Tensor:
        """Reduce features of the whole picture to what the next smaller ones cover, doubled."""
        return self._cut(x, 2 * shrink, 2) if 2 * shrink <= self._first else x

    def trim(self, x: Tensor, shrink: int) -> Tensor:
        """Reduce features that were just doubled to the part and its margin."""
        if 2 * shrink > self._first:
            return x
        parts = []
        for axis in range(2):
            doubled, wanted = self._span(axis, 2 * shrink), self._span(axis, shrink)
            parts.append(slice(wanted.start - 2 * doubled.start, wanted.stop - 2 * doubled.start))
        return x[..., parts[0], parts[1]]

    def leave(self, x: Tensor) -> Tensor:
        """Cut the margin off a picture ``[B, C, h, w]``."""
        rows, columns = (self._span(axis, 1) for axis in range(2))
        top, left = self.top - rows.start, self.left - columns.start
        return x[..., top : top + self.bottom - self.top, left : left + self.right - self.left]

    def of(self, x: Tensor) -> Tensor:
        """Cut the part out of a whole picture ``[B, C, H, W]``."""
        return x[..., self.top : self.bottom, self.left : self.right]

    @property
    def _first(self) -> int:
        return 1 << self.num_doublings if self.num_doublings else 0

    def _span(self, axis: int, shrink: int) -> slice:
        if not self.num_doublings:
            return slice(0, self.size_px // shrink)
        low, high = ((self.top, self.bottom), (self.left, self.right))[axis]
        return slice(
            max(low // shrink - _MARGIN, 0),
            min(high // shrink + _MARGIN, self.size_px // shrink),
        )

    def _cut(self, x: Tensor, shrink: int, factor: int) -> Tensor:
        rows, columns = (
            slice(factor * span.start, factor * span.stop)
            for span in (self._span(axis, shrink) for axis in range(2))
        )
        return x[..., rows, columns]
