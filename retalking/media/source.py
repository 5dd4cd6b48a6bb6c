"""The video as the job sees it: turned, cut to a region, limited in time, reduced to one frame."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from retalking.errors import ConfigError
from retalking.media.colors import DecodedChunk, Part
from retalking.media.video import VideoReader
from retalking.types import FrameChunk, IntArray, UInt8Array, VideoInfo

Region = tuple[int, int, int, int]
"""top, bottom, left, right in pixels; -1 stands for the far border (upstream's order)."""
_Chunk = TypeVar("_Chunk", FrameChunk, DecodedChunk)


class Source:
    """Frames of a ``VideoReader`` after the user's restrictions.

    Attributes:
        info: of the restricted video.
    """

    def __init__(
        self,
        reader: VideoReader,
        crop: Region = (0, -1, 0, -1),
        max_frames: int | None = None,
        max_seconds: float | None = None,
        rotate_deg: int = 0,
        owner: object = None,
    ) -> None:
        """Restrict a video.

        Args:
            reader: of the whole video; ``close`` closes it.
            crop: region to use, of the turned video.
            max_frames: stop after so many frames.
            max_seconds: stop at the first frame this long after the first one.
            rotate_deg: 0, 90, 180 or 270, by which it is turned clockwise.
            owner: of a temporary file; kept for as long as this is.

        Raises:
            ConfigError: the region is empty or larger than the video.
        """
        self._reader = reader
        self._owner = owner
        self._quarter_turns = rotate_deg // 90
        width, height = reader.info.width_px, reader.info.height_px
        pixel_shape = reader.info.sample_aspect_ratio
        if self._quarter_turns % 2:
            width, height, pixel_shape = height, width, 1 / pixel_shape
        top, bottom, left, right = crop
        bottom, right = (height if bottom < 0 else bottom), (width if right < 0 else right)
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise ConfigError(
                f"--crop: got {' '.join(map(str, crop))}, expected top < bottom and left < right "
                f"within {width}x{height} px"
            )
        self._region = (slice(top, bottom), slice(left, right))
        limits = [reader.info.num_frames, max_frames]
        if reader.info.num_frames is not None and max_seconds is not None:
            limits.append(math.ceil(max_seconds * reader.info.frame_rate))
        self.info: VideoInfo = dataclasses.replace(
            reader.info,
            width_px=right - left,
            height_px=bottom - top,
            num_frames=min((limit for limit in limits if limit is not None), default=None),
            sample_aspect_ratio=pixel_shape,
        )
        whole = (bottom - top, right - left) == (height, width)
        self._is_whole = whole and not self._quarter_turns
        self._max_frames = max_frames
        self._max_ticks = None if max_seconds is None else max_seconds / float(self.info.time_base)

    def close(self) -> None:
        """Close the video."""
        self._reader.close()

    def read_all(self, chunk_size: int) -> Iterator[FrameChunk]:
        """Yield the frames from the first one up to the limits."""
        for chunk, count in self._limited(self._reader.read_chunks(chunk_size)):
            yield FrameChunk(chunk.start, chunk.pts[:count], self._cut(chunk.rgb[:count]))

    def read_pictures(
        self, chunk_size: int, every: int
    ) -> Iterator[FrameChunk] | Iterator[DecodedChunk]:
        """Yield what ``read_all`` does, converted only where it is looked at, if that can be.

        Args:
            chunk_size: frames at a time.
            every: of pixels and rows of ``DecodedPicture.thinned``.
        """
        if not self._is_whole:
            yield from self.read_all(chunk_size)
            return
        for chunk, count in self._limited(self._reader.read_pictures(chunk_size, every)):
            yield DecodedChunk(chunk.start, chunk.pts[:count], chunk.pictures[:count])

    def _limited(self, chunks: Iterator[_Chunk]) -> Iterator[tuple[_Chunk, int]]:
        """Chunks up to the limits, and how many of their frames are within."""
        first_pts: int | None = None
        for chunk in chunks:
            first_pts = int(chunk.pts[0]) if first_pts is None else first_pts
            count = len(chunk)
            if self._max_ticks is not None:
                count = int(np.count_nonzero(chunk.pts - first_pts < self._max_ticks))
            if self._max_frames is not None:
                count = min(count, self._max_frames - chunk.start)
            if count > 0:
                yield chunk, count
            if count < len(chunk):
                return

    def read_frames(
        self, indices: IntArray, pts: IntArray, chunk_size: int
    ) -> Iterator[FrameChunk]:
        """Yield frames by index, as ``VideoReader.read_frames`` does."""
        for chunk in self._reader.read_frames(indices, pts, chunk_size):
            yield FrameChunk(chunk.start, chunk.pts, self._cut(chunk.rgb))

    def read_parts(
        self, indices: IntArray, pts: IntArray, parts_px: Sequence[Part]
    ) -> Iterator[UInt8Array]:
        """Yield parts of frames by index, as ``VideoReader.read_parts`` does."""
        moved = [self._place(part) for part in parts_px]
        for rgb in self._reader.read_parts(indices, pts, moved):
            yield np.ascontiguousarray(np.rot90(rgb, -self._quarter_turns))

    def _place(self, part_px: Part) -> Part:
        """Where a part lies in the reader's frames."""
        top, left = (side.start for side in self._region)
        x1, y1, x2, y2 = part_px
        x1, y1, x2, y2 = x1 + left, y1 + top, x2 + left, y2 + top
        width, height = self._reader.info.width_px, self._reader.info.height_px
        if self._quarter_turns % 2:
            width, height = height, width
        for _ in range(self._quarter_turns):
            x1, y1, x2, y2 = y1, width - x2, y2, width - x1
            width, height = height, width
        return x1, y1, x2, y2

    def _cut(self, rgb: UInt8Array) -> UInt8Array:
        rows, columns = self._region
        turned = np.rot90(rgb, -self._quarter_turns, axes=(1, 2))
        return np.ascontiguousarray(turned[:, rows, columns])
