"""The shape of pixels in a Matroska or WebM file, which PyAV cannot tell FFmpeg's muxer.

The displayed size is written into the finished file, in the place of the track's name, which has to
be ``ROOM``. Elements and their numbers are those of RFC 9559.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_SEGMENT, _TRACKS, _TRACK_ENTRY, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_VOID, _CRC, _NAME = 0xEC, 0xBF, 0x536E
_HEAD_BYTES = 2**20
ROOM = "video" + 15 * " "
"""Name of a track that is long enough to make room for the shape."""


@dataclass(frozen=True)
class _Element:
    number: int
    start: int
    body: int
    end: int


def set_pixel_shape(path: Path, shape: Fraction) -> bool:
    """Write the displayed size of the first video track into a finished file.

    Args:
        path: of the file, changed in place.
        shape: width to height of a pixel.

    Returns:
        Whether there was room for it.

    Raises:
        OSError: the file cannot be read or written.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD_BYTES))
        segment = _find(head, 0, len(head), _SEGMENT)
        tracks = segment and _find(head, segment.body, len(head), _TRACKS)
        if tracks is None or tracks.end > len(head):
            return False
        for entry in _elements(head, tracks.body, tracks.end):
            video = entry.number == _TRACK_ENTRY and _find(head, entry.body, entry.end, _VIDEO)
            if video and _rewrite(head, entry, video, shape):
                _renew_checksum(head, tracks)
                file.seek(0)
                file.write(head)
                return True
    return False


def _rewrite(head: bytearray, entry: _Element, video: _Element, shape: Fraction) -> bool:
    """Make room for the displayed size by leaving out the track's name and empty elements."""
    parts = list(_elements(head, video.body, video.end))
    size = {e.number: int.from_bytes(head[e.body : e.end], "big") for e in parts}
    shown = (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
    new = b"".join(head[e.start : e.end] for e in parts if e.number not in shown)
    width, height = round(size[_PIXEL_WIDTH] * shape), size[_PIXEL_HEIGHT]
    new += _element(_DISPLAY_WIDTH, width.to_bytes(3, "big"))
    new += _element(_DISPLAY_HEIGHT, height.to_bytes(3, "big"))
    content = b""
    for element in _elements(head, entry.body, entry.end):
        if element.start == video.start:
            content += _element(_VIDEO, new)
        elif element.number not in (_VOID, _NAME):
            content += head[element.start : element.end]
    left = entry.end - entry.body - len(content)
    if left < 0 or left == 1:  # no element is as small as one byte
        return False
    head[entry.body : entry.end] = content + (_element(_VOID, bytes(left - 2)) if left else b"")
    return True


def _renew_checksum(head: bytearray, tracks: _Element) -> None:
    first = next(_elements(head, tracks.body, tracks.end))
    if first.number == _CRC:
        value = zlib.crc32(head[first.end : tracks.end])
        head[first.body : first.end] = value.to_bytes(4, "little")


def _find(data: bytearray, start: int, end: int, number: int) -> _Element | None:
    return next((e for e in _elements(data, start, end) if e.number == number), None)


def _elements(data: bytearray, start: int, end: int) -> Iterator[_Element]:
    place = start
    while place < end:
        number, after = _read_number(data, place, keep_marker=True)
        size, body = _read_number(data, after, keep_marker=False)
        yield _Element(number, place, body, body + size)
        place = body + size


def _read_number(data: bytearray, place: int, keep_marker: bool) -> tuple[int, int]:
    """A number whose leading zero bits tell its length, and where it ends."""
    length = 9 - data[place].bit_length()
    value = int.from_bytes(data[place : place + length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), place + length


def _element(number: int, body: bytes) -> bytes:
    """An element of fewer than 127 bytes."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + bytes([0x80 | len(body)]) + body
