"""Frames as tracking looks at them: thinned out, in parts, and only now and then as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from retalking.types import FrameChunk, IntArray, UInt8Array

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels; may reach beyond the frame."""

_THIN_PX = 288


class Picture(Protocol):
    """A frame that may be converted to RGB only where it is looked at."""

    @property
    def thinned(self) -> UInt8Array:
        """Every n-th pixel of every n-th row, with ``thinning`` as n: ``[h, w, 3]``."""
        ...

    def whole(self) -> UInt8Array:
        """All pixels ``[H, W, 3]``."""
        ...

    def parts(self, boxes_px: Iterable[Box]) -> UInt8Array:
        """A picture ``[H, W, 3]`` of which nothing but these boxes is sure to be there."""
        ...


class PictureChunk(Protocol):
    """Consecutive frames of a video: as ``FrameChunk``, but pictures in place of ``rgb``."""

    @property
    def start(self) -> int:
        """Index of the first frame."""
        ...

    @property
    def pts(self) -> IntArray:
        """Their times ``[T]``."""
        ...

    @property
    def pictures(self) -> Sequence[Picture]:
        """The frames."""
        ...


@dataclass(frozen=True)
class WholePicture:
    """A ``Picture`` of which everything is there: uint8 ``[H, W, 3]``."""

    rgb: UInt8Array

    @property
    def thinned(self) -> UInt8Array:
        """See ``Picture``."""
        every = thinning(*self.rgb.shape[:2])
        return self.rgb[::every, ::every]

    def whole(self) -> UInt8Array:
        """See ``Picture``."""
        return self.rgb

    def parts(self, boxes_px: Iterable[Box]) -> UInt8Array:
        """See ``Picture``."""
        return self.rgb


def pictures_of(chunk: FrameChunk | PictureChunk) -> Sequence[Picture]:
    """The frames of a chunk."""
    if isinstance(chunk, FrameChunk):
        return [WholePicture(rgb) for rgb in chunk.rgb]
    return chunk.pictures


def thinning(height_px: int, width_px: int) -> int:
    """Which pixels a thinned picture has: every n-th, so that 288 of the shorter side are left."""
    return max(1, min(height_px, width_px) // _THIN_PX)
