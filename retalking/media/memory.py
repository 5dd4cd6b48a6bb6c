"""How many pictures may be held at a time: so many bytes, however large they are.

A job holds a handful of chunks of pictures (being decoded, waiting, edited, waiting to be encoded)
and what its encoder keeps; everything that takes memory in proportion to pictures asks here.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

from retalking.types import VideoInfo

CHUNK_BYTES = 10**8
"""Pixels of one chunk: 16 frames of 1920 x 1080, one of 4096 x 4096."""
REWIND_BYTES = 256 * 2**20
"""Decoded pixels that playing backward may hold."""
MOUTHS_BYTES = 256 * 2**20
"""Mouths that a video lends."""
ENCODER_BYTES = 8 * 10**8
"""Pictures in an encoder, with what it computes from them."""
_FEW = 4  # pictures of a chunk: more than 3840 x 2160
_M_MMAP_THRESHOLD, _LARGE_ARRAY = -3, 4 * 2**20


def pictures_within(
    num_bytes: int, width_px: int, height_px: int, bytes_per_pixel: float = 3
) -> int:
    """How many pictures fit, none if one is too large; RGB ones by default."""
    return int(num_bytes // (bytes_per_pixel * max(width_px * height_px, 1)))


def waiting_chunks(info: VideoInfo) -> int:
    """How many chunks may wait between two threads: none of the largest pictures."""
    return 0 if _are_large(info) else 1


def decoding_threads(info: VideoInfo) -> int:
    """How many threads decode, each of which holds frames: 0 for one on every core."""
    return 2 if _are_large(info) else 0


def return_large_arrays(info: VideoInfo) -> None:
    """Let the C library give back at once what it would keep, for the largest pictures.

    Of glibc's memory every thread keeps freed blocks of up to 32 MB, to use them again: 370 MB in a
    job of 4096 x 4096 px. Other C libraries are left alone.
    """
    if _are_large(info):
        with suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_ARRAY)


def _are_large(info: VideoInfo) -> bool:
    return pictures_within(CHUNK_BYTES, info.width_px, info.height_px) < _FEW
