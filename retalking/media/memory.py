"""How many pictures may be held at a time: so many bytes, however large they are.

A job holds a handful of chunks of pictures (being decoded, waiting, edited, waiting to be encoded)
and what its encoder keeps; everything that takes memory in proportion to pictures asks here.
"""

from __future__ import annotations

CHUNK_BYTES = 10**8
"""Pixels of one chunk: 16 frames of 1920 x 1080, one of 4096 x 4096."""
REWIND_BYTES = 256 * 2**20
"""Decoded pixels that playing backward may hold."""
MOUTHS_BYTES = 256 * 2**20
"""Mouths that a video lends."""
ENCODER_BYTES = 8 * 10**8
"""Pictures in an encoder, with what it computes from them."""


def pictures_within(
    num_bytes: int, width_px: int, height_px: int, bytes_per_pixel: float = 3
) -> int:
    """How many pictures fit, none if one is too large; RGB ones by default."""
    return int(num_bytes // (bytes_per_pixel * max(width_px * height_px, 1)))
