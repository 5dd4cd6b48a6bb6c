"""From a decoded frame to RGB and back without drift.

swscale's direct conversions of 4:2:0 and 4:2:2 darken by 1.3 of 255 levels, and so does every
generation of a video. Here each chroma sample is first repeated over the pixels it stands for, then
converted with full precision. Averaging, as in encoding, undoes the repetition exactly.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from retalking.types import UInt8Array

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_FULL_CHROMA = {8: "yuv444p", 9: "yuv444p9le", 10: "yuv444p10le", 12: "yuv444p12le"}


def to_rgb(frame: av.VideoFrame, width_px: int, height_px: int) -> UInt8Array:
    """Convert to uint8 ``[H, W, 3]`` with the matrix and range of the frame's tags.

    Untagged video is read as BT.601 limited range, as FFmpeg and OpenCV read it. A picture of
    another size is scaled.
    """
    stored = frame.format
    subsampled = not stored.is_rgb and stored.chroma_width(frame.width) < frame.width
    if subsampled:
        bits = max(part.bits for part in stored.components)
        full = stored.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
        frame = _without_chroma_location(frame).reformat(
            format=_FULL_CHROMA.get(bits, "yuv444p16le"),
            interpolation=Interpolation.POINT,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        )
    rgb = frame.reformat(
        width_px, height_px, "rgb24", dst_color_range=ColorRange.JPEG, interpolation=_EXACT
    )
    return rgb.to_ndarray().astype(np.uint8, copy=False)


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
