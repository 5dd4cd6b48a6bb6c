"""Decoded frames that are converted to RGB where they are looked at, which most of a frame is not.

They are what ``retalking.face`` calls pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import av
import numpy as np

from retalking.media.colors import Part, RgbConverter
from retalking.types import IntArray, UInt8Array


class DecodedPicture:
    """An upright frame of three planes.

    Attributes:
        thinned: uint8 ``[h, w, 3]``, some pixels of some rows.
    """

    def __init__(
        self,
        frame: av.VideoFrame | None,
        thinned: UInt8Array,
        convert: RgbConverter,
        rgb: UInt8Array | None = None,
    ) -> None:
        """Take a frame.

        Args:
            frame: as decoded, of a layout that can be converted in parts.
            thinned: see above.
            convert: used by the thread that asks for pixels.
            rgb: all of it, where that is known already and the frame is not needed.
        """
        self.thinned = thinned
        self._frame, self._convert, self._rgb = frame, convert, rgb

    def whole(self) -> UInt8Array:
        """Return all pixels ``[H, W, 3]``."""
        if self._rgb is None:
            assert self._frame is not None
            self._rgb = self._convert(self._frame, self._frame.width, self._frame.height)
        return self._rgb

    def parts(self, boxes_px: Iterable[Part]) -> UInt8Array:
        """Return ``[H, W, 3]`` of which nothing but these boxes is sure to be there.

        Args:
            boxes_px: x1, y1, x2, y2 each; they may reach beyond the frame.
        """
        if self._rgb is not None:
            return self._rgb
        assert self._frame is not None
        height, width = self._frame.height, self._frame.width
        rgb = np.empty((height, width, 3), np.uint8)
        for box in boxes_px:
            x1, y1 = max(box[0], 0), max(box[1], 0)
            x2, y2 = min(box[2], width), min(box[3], height)
            if x1 < x2 and y1 < y2:
                rgb[y1:y2, x1:x2] = self._convert.part(self._frame, (x1, y1, x2, y2))
        return rgb


@dataclass(frozen=True)
class DecodedChunk:
    """Consecutive frames of a video.

    Attributes:
        start: index of the first frame.
        pts: int64 ``[T]``, as in ``FrameChunk``.
        pictures: the frames.
    """

    start: int
    pts: IntArray
    pictures: tuple[DecodedPicture, ...]

    def __len__(self) -> int:
        return len(self.pictures)
