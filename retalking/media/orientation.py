"""Upright pictures from the display matrix that phones write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData

from retalking.types import UInt8Array


class Orientation:
    """The quarter turns and mirrorings that make a stored frame upright.

    Attributes:
        transposed: whether width and height change places.
        clockwise_deg: the turn, 0, 90, 180 or 270.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        """Read the matrix of a video's first frame.

        Once is enough, and better: PyAV keeps a frame whose side data was read in memory until the
        next garbage collection.
        """
        matrix = np.eye(3, dtype=np.int64)
        side_data = cast("Mapping[str, SideData]", frame.side_data)
        if "DISPLAYMATRIX" in side_data:
            stored = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)
            matrix = stored.reshape(3, 3).astype(np.int64)
        (a, b), (c, d) = matrix[:2, :2]  # the stored x axis is shown along (a, b), y along (c, d)
        self.transposed = bool(abs(b) + abs(c) > abs(a) + abs(d))
        self._flip_x, self._flip_y = (c < 0, b < 0) if self.transposed else (a < 0, d < 0)
        self.clockwise_deg = (90 if b > 0 else 270) if self.transposed else (180 if a < 0 else 0)

    @property
    def as_stored(self) -> bool:
        """Whether frames are stored upright."""
        return not (self.transposed or self._flip_x or self._flip_y)

    def apply(self, rgb: UInt8Array) -> UInt8Array:
        """Turn uint8 ``[H, W, 3]`` as stored into ``[H, W, 3]`` as shown."""
        if self.transposed:
            rgb = rgb.transpose(1, 0, 2)
        rows, columns = (
            slice(None, None, -1 if flip else 1) for flip in (self._flip_y, self._flip_x)
        )
        return np.ascontiguousarray(rgb[rows, columns])
