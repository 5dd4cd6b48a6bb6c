"""Frames of a video or still image: upright RGB with exact timestamps, a bounded number at a time.

Of more than 8 bits, 8 are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from itertools import islice, repeat
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np

from retalking.errors import MediaError
from retalking.media.colors import DecodedChunk, DecodedPicture, Part, RgbConverter
from retalking.media.container import decode_frames, open_input
from retalking.media.images import load_image
from retalking.media.memory import (
    CHUNK_BYTES,
    REWIND_BYTES,
    decoding_threads,
    pictures_within,
)
from retalking.media.orientation import Orientation
from retalking.media.tracks import video_stream
from retalking.media.video_info import STILL_IMAGE_RATE, probe
from retalking.types import FrameChunk, IntArray, UInt8Array

_log = logging.getLogger(__name__)

_SEEK_MARGINS_S = (0.0, 2.0, 12.0)
"""How much earlier to aim when frames right after a key frame need the group before it."""


class VideoReader:
    """Reads frames in order, or in any order given the timestamps of a first pass.

    Use as a context manager, and finish one reading before the next. The pixels of a frame are the
    same however it is reached.
    """

    def __init__(self, path: Path, still_image_rate: Fraction = STILL_IMAGE_RATE) -> None:
        self.info = probe(path, still_image_rate)
        self._image = load_image(path) if self.info.is_image else None
        self._orientation: Orientation | None = None
        self._convert, self._look = RgbConverter(), RgbConverter()
        self._resources = ExitStack()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later reading opens it again."""
        self._resources.close()

    def read_chunks(self, chunk_size: int) -> Iterator[FrameChunk]:
        """Yield all frames in presentation order, up to ``chunk_size`` and 100 MB at a time.

        Timestamps are the stream's; missing or repeated ones are repaired so that they increase.
        """
        if self._image is not None:
            yield FrameChunk(0, np.zeros(1, np.int64), self._image[None].copy())
            return
        chunk_size = self._bounded(chunk_size)
        pts: list[int] = []
        rgb = self._room_for(chunk_size)
        start = 0
        for frame, stamp in self._stamped():
            rgb[len(pts)] = self._to_rgb(frame)
            pts.append(stamp)
            if len(pts) == chunk_size:
                yield FrameChunk(start, np.array(pts, np.int64), rgb)
                start, pts, rgb = start + len(pts), [], self._room_for(chunk_size)
        if pts:
            yield FrameChunk(start, np.array(pts, np.int64), rgb[: len(pts)])

    def read_pictures(self, chunk_size: int, every: int) -> Iterator[DecodedChunk]:
        """``read_chunks``, converted where it is looked at; ``thinned`` has every n-th pixel."""
        if self._image is not None:
            picture = DecodedPicture(None, self._image[::every, ::every], self._look, self._image)
            yield DecodedChunk(0, np.zeros(1, np.int64), (picture,))
            return
        stamped, start = self._stamped(), 0
        while some := list(islice(stamped, self._bounded(chunk_size))):
            pts = np.array([stamp for _, stamp in some], np.int64)
            pictures = tuple(self._picture(frame, every) for frame, _ in some)
            yield DecodedChunk(start, pts, pictures)
            start += len(some)

    def _picture(self, frame: av.VideoFrame, every: int) -> DecodedPicture:
        if self._as_stored(frame):
            thinned = self._convert.thinned(frame, every) if every > 1 else None
            if thinned is not None:
                return DecodedPicture(frame, thinned, self._look)
        rgb = self._to_rgb(frame)
        return DecodedPicture(None, rgb[::every, ::every], self._look, rgb)

    def _stamped(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """All frames and their timestamps, which increase."""
        step = max(1, round(1 / (self.info.frame_rate * self.info.time_base)))
        repaired, shift = 0, 0
        last: int | None = None
        for frame in self._decode():
            now = frame.pts + shift if frame.pts is not None else None
            if last is not None and (now is None or now <= last):
                restarts = now is None or (last - now) * self.info.time_base > 1
                following = last + (step if restarts else 1)
                if now is not None and restarts:
                    shift += following - now
                now, repaired = following, repaired + 1
            last = now or 0
            yield frame, last
        if repaired:
            _log.warning("%s: repaired %d missing or repeated timestamps", self.info.path, repaired)

    def read_frames(
        self, indices: Sequence[int] | IntArray, pts: IntArray, chunk_size: int
    ) -> Iterator[FrameChunk]:
        """Yield the frames with the given indices, in the given order, in chunks.

        Forward runs are decoded straight on. Backward runs are decoded in stretches that fit a
        fixed buffer, each from the key frame before it.

        Args:
            indices: source frame indices ``[N]``; may repeat, skip and turn back.
            pts: int64 ``[F]``, every timestamp that `read_chunks` gave.
            chunk_size: frames per chunk, fewer where these would take more than 100 MB.

        Yields:
            `FrameChunk` with ``start`` the position in ``indices`` and ``pts`` of the source.

        Raises:
            MediaError: the file has fewer frames than ``pts`` says.
        """
        order, chunk_size = _checked(indices, pts), self._bounded(chunk_size)
        walk = self._walk(order, pts)
        for start in range(0, len(order), chunk_size):
            wanted = order[start : start + chunk_size]
            if len(wanted) == 1 and self._image is None:
                rgb = np.ascontiguousarray(next(walk))[None]
            else:
                rgb = self._room_for(len(wanted))
                for row in range(len(wanted)):
                    rgb[row] = next(walk)
            yield FrameChunk(start, pts[wanted], rgb)

    def read_parts(
        self, indices: Sequence[int] | IntArray, pts: IntArray, parts_px: Sequence[Part]
    ) -> Iterator[UInt8Array]:
        """Yield parts of frames, uint8 ``[y2 - y1, x2 - x1, 3]``, in less time than whole ones.

        Args:
            indices: see ``read_frames``, which gives the same pixels.
            pts: see there.
            parts_px: one part for each index, within the frame.

        Raises:
            MediaError: see there.
        """
        return self._walk(_checked(indices, pts), pts, parts_px)

    def _bounded(self, chunk_size: int) -> int:
        fitting = pictures_within(CHUNK_BYTES, self.info.width_px, self.info.height_px)
        return max(1, min(chunk_size, fitting))

    def _room_for(self, num_frames: int) -> UInt8Array:
        return np.empty((num_frames, self.info.height_px, self.info.width_px, 3), np.uint8)

    def _walk(
        self, order: IntArray, pts: IntArray, parts_px: Sequence[Part] | None = None
    ) -> Iterator[UInt8Array]:
        whole = (0, 0, self.info.width_px, self.info.height_px)
        parts = repeat(whole, len(order)) if parts_px is None else parts_px
        if self._image is not None:
            yield from (self._image[y1:y2, x1:x2] for x1, y1, x2, y2 in parts)
            return
        longest = max(2, pictures_within(REWIND_BYTES, *whole[2:], bytes_per_pixel=1.5))
        source = self._numbered_from(0, pts)
        position = 0  # index that `source` gives next
        held: dict[int, av.VideoFrame] = {}
        for place, (index, part) in enumerate(zip(order.tolist(), parts, strict=True)):
            if index not in held:
                low = index
                if index < position:
                    low = _lowest_of_descent(order[place : place + longest], longest)
                    source, position = self._numbered_from(low, pts), low
                held = {}
                while position <= index:
                    frame = next(source, None)
                    if frame is None:
                        raise MediaError(
                            f"{self.info.path}: frame {position} of {len(pts)} can no longer be "
                            "read; was the file changed?"
                        )
                    if position >= low:
                        held[position] = frame
                    position += 1
            yield self._to_rgb(held[index], part)

    def _numbered_from(self, first: int, pts: IntArray) -> Iterator[av.VideoFrame]:
        """Frames ``first``, ``first + 1`` and so on."""
        for margin_s in _SEEK_MARGINS_S:
            target = int(pts[first]) - round(Fraction(margin_s) / self.info.time_base)
            if target <= pts[0]:
                break
            frames = self._decode(target)
            found = _find_frame(frames, pts, first)
            if found is not None:
                yield found
                yield from frames
                return
        yield from islice(self._decode(), first, None)

    def _decode(self, target: int | None = None) -> Iterator[av.VideoFrame]:
        """Frames from the start, or from the key frame before tick ``target``."""
        self._resources.close()
        container = self._resources.enter_context(open_input(self.info.path))
        stream = video_stream(container, self.info.path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = decoding_threads(self.info)
        if target is not None and stream.codec_context.pix_fmt != "pal8":
            # A palette is stored where it changes, not with every key frame; raw streams of some
            # codecs cannot be sought in. Both are decoded from the start again.
            with suppress(av.error.FFmpegError):
                container.seek(target, stream=stream)
        # AVI stores no presentation times, and FFmpeg guesses them wrong for codecs that reorder.
        reorders = stream.codec_context.name in ("h264", "hevc")
        unknown_times = container.format.name == "avi" and reorders
        for frame in decode_frames(container, stream, self.info.path):
            if unknown_times:
                frame.pts = None
            yield frame

    def _to_rgb(self, frame: av.VideoFrame, part_px: Part | None = None) -> UInt8Array:
        """Upright uint8 ``[H, W, 3]``; a picture of another size is scaled to the video's."""
        turn, size = self._turn_of(frame), (self.info.width_px, self.info.height_px)
        if part_px and part_px != (0, 0, *size):
            x1, y1, x2, y2 = part_px
            if self._as_stored(frame):
                return self._convert.part(frame, part_px)
            return self._to_rgb(frame)[y1:y2, x1:x2]
        width, height = size[::-1] if turn.transposed else size
        return turn.apply(self._convert(frame, width, height))

    def _as_stored(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is shown as it is: neither turned nor scaled."""
        size = (self.info.width_px, self.info.height_px)
        return self._turn_of(frame).as_stored and size == (frame.width, frame.height)

    def _turn_of(self, frame: av.VideoFrame) -> Orientation:
        if self._orientation is None:
            self._orientation = Orientation(frame)
        return self._orientation


def _checked(indices: Sequence[int] | IntArray, pts: IntArray) -> IntArray:
    order = np.asarray(indices, np.int64)
    if len(order) and not (order.min() >= 0 and order.max() < len(pts)):
        raise ValueError(f"indices: got {order.min()}..{order.max()} of {len(pts)} frames")
    return order


def _find_frame(
    frames: Iterator[av.VideoFrame], pts: IntArray, wanted: int
) -> av.VideoFrame | None:
    """Advance to frame ``wanted``; None unless every frame on the way fits ``pts``."""
    number: int | None = None
    for frame in frames:
        if frame.pts is None:
            return None
        number = int(np.searchsorted(pts, frame.pts)) if number is None else number + 1
        if number > wanted or pts[number] != frame.pts:
            return None
        if number == wanted:
            return frame
    return None


def _lowest_of_descent(order: IntArray, longest: int) -> int:
    """The index down to which ``order`` runs backward from its start, ``longest`` at most."""
    low = int(order[0])
    for index in order.tolist():
        if index > low or order[0] - index >= longest:
            break
        low = index
    return low
