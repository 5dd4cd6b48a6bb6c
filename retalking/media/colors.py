"""From a decoded frame to RGB and back without drift.

swscale's direct conversions of 4:2:0 and 4:2:2 darken by 1.3 of 255 levels, and so does every
generation of a video. Here each chroma sample is first repeated over the pixels it stands for, then
converted with full precision. Averaging, as in encoding, undoes the repetition exactly.

Most of a frame is not looked at in the first pass: ``DecodedPicture`` converts what is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from retalking.types import IntArray, UInt8Array

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_FULL_CHROMA = {8: "yuv444p", 9: "yuv444p9le", 10: "yuv444p10le", 12: "yuv444p12le"}
_BAND_PX = 4 * 2**20  # the most pixels that are converted at once
_ANY_SIDE = 64  # a length that every subsampling divides

Part = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, within the frame."""


class RgbConverter:
    """Converts the frames of a video; keeps what swscale prepares, which takes long."""

    def __init__(self) -> None:
        self._spread, self._convert = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame, width_px: int, height_px: int) -> UInt8Array:
        """Convert to uint8 ``[H, W, 3]`` with the matrix and range of the frame's tags.

        Untagged video is read as BT.601 limited range, as FFmpeg and OpenCV read it. A picture of
        another size is scaled.
        """
        stored, size = frame.format, (frame.width, frame.height)
        if not stored.is_rgb and stored.chroma_width(frame.width) < frame.width:
            if size == (width_px, height_px) and width_px * height_px > _BAND_PX:
                rgb = self._by_bands(frame)
                if rgb is not None:
                    return rgb
            frame = _repeat_chroma(frame, (0, 0, *size)) or self._spread_chroma(frame)
        return self._to_rgb(frame, width_px, height_px)

    def _by_bands(self, frame: av.VideoFrame) -> UInt8Array | None:
        """Convert the rows of a large frame part by part, so that copies of it stay small."""
        height, width = frame.height, frame.width
        rgb = np.empty((height, width, 3), np.uint8)
        step = -(-height // -(-height * width // _BAND_PX))
        for top in range(0, height, step):
            bottom = min(top + step, height)
            band = _repeat_chroma(frame, (0, top, width, bottom))
            if band is None:
                return None
            rgb[top:bottom] = self._to_rgb(band, width, bottom - top)
        return rgb

    def part(self, frame: av.VideoFrame, part_px: Part) -> UInt8Array:
        """Convert a part of a frame: the pixels that it has in the whole, in less time.

        Returns:
            uint8 ``[y2 - y1, x2 - x1, 3]``.
        """
        x1, y1, x2, y2 = part_px
        cut = _repeat_chroma(frame, part_px)
        if cut is None:
            return self(frame, frame.width, frame.height)[y1:y2, x1:x2]
        return self._to_rgb(cut, x2 - x1, y2 - y1)

    def thinned(self, frame: av.VideoFrame, every: int) -> UInt8Array | None:
        """Convert every n-th pixel of every n-th row: the pixels that they are in the whole.

        Returns:
            uint8 ``[h, w, 3]``; ``None`` of layouts of which parts are not had in less time.
        """
        few = _repeat_chroma(frame, (0, 0, frame.width, frame.height), every)
        return None if few is None else self._to_rgb(few, few.width, few.height)

    def _to_rgb(self, frame: av.VideoFrame, width_px: int, height_px: int) -> UInt8Array:
        rgb = self._convert.reformat(
            frame,
            width_px,
            height_px,
            "rgb24",
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
        )
        return rgb.to_ndarray().astype(np.uint8, copy=False)

    def _spread_chroma(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Repeat chroma by swscale, which knows every layout."""
        color_range = _range_of(frame)
        return self._spread.reformat(
            _without_chroma_location(frame),
            format=_FULL_CHROMA.get(_bits_of(frame), "yuv444p16le"),
            interpolation=Interpolation.POINT,
            src_color_range=color_range,
            dst_color_range=color_range,
        )


class DecodedPicture:
    """An upright frame of three planes; what ``retalking.face`` calls a picture.

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


def _repeat_chroma(frame: av.VideoFrame, part_px: Part, every: int = 1) -> av.VideoFrame | None:
    """A part of a frame of three planes, with chroma in full size; ``None`` of other frames.

    Of the part, every n-th pixel of every n-th row is taken.
    """
    stored, full = frame.format, _FULL_CHROMA.get(_bits_of(frame))
    across, down = (
        _ANY_SIDE // length(_ANY_SIDE) for length in (stored.chroma_width, stored.chroma_height)
    )
    layout_fits = len(frame.planes) == 3 and not stored.is_rgb and not stored.is_big_endian
    if not layout_fits or full is None or down > across:
        return None
    x1, y1, x2, y2 = part_px
    luma, *chroma = (_samples_of(plane, full) for plane in frame.planes)
    whole = av.VideoFrame(-(-(x2 - x1) // every), -(-(y2 - y1) // every), full)
    new_luma, *new_chroma = (_samples_of(plane, full) for plane in whole.planes)
    new_luma[:] = luma[y1:y2:every, x1:x2:every]
    for old, new in zip(chroma, new_chroma, strict=True):
        if every > 1:
            rows, columns = np.arange(y1, y2, every) // down, np.arange(x1, x2, every) // across
            new[:] = old[rows][:, columns]
            continue
        few = old[y1 // down : -(-y2 // down), x1 // across : -(-x2 // across)]
        fits = new.shape == (few.shape[0] * down, few.shape[1] * across)
        many = cv2.resize(
            few, None, new if fits else None, across, down, interpolation=cv2.INTER_NEAREST
        )
        if not fits:
            left, top = x1 % across, y1 % down
            new[:] = many[top : top + y2 - y1, left : left + x2 - x1]
    whole.colorspace, whole.color_range = frame.colorspace, _range_of(frame)
    return whole


def _samples_of(plane: Any, planar_format: str) -> NDArray[Any]:
    """Samples ``[h, w]`` of a plane, in place."""
    depth = np.uint16 if planar_format.endswith("le") else np.uint8
    rows = np.frombuffer(memoryview(plane), depth).reshape(plane.height, -1)
    return rows[:, : plane.width]


def _bits_of(frame: av.VideoFrame) -> int:
    return max(part.bits for part in frame.format.components)


def _range_of(frame: av.VideoFrame) -> ColorRange:
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    return ColorRange.JPEG if full else ColorRange.MPEG


def _without_chroma_location(frame: av.VideoFrame) -> av.VideoFrame:
    """A copy that swscale does not shift the chroma of, by the half pixel that codecs tag."""
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for old, new in zip(frame.planes, copy.planes, strict=True):
        rows = np.frombuffer(memoryview(old), np.uint8).reshape(old.height, old.line_size)
        padded = np.zeros((new.height, new.line_size), np.uint8)
        length = min(old.line_size, new.line_size)
        padded[:, :length] = rows[: new.height, :length]
        new.update(padded.tobytes())
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    return copy
