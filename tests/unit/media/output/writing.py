"""Descriptions of small outputs, and reading them back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from retalking.media.output.encoding import EncoderOptions
from retalking.media.video import VideoReader
from retalking.types import VideoInfo
from tests.media import moving_picture

LOSSLESS = EncoderOptions(codec="ffv1")


def make_info(
    width: int = 64,
    height: int = 64,
    rate: Fraction = Fraction(25),
    time_base: Fraction = Fraction(1, 12800),
    **fields: object,
) -> VideoInfo:
    return VideoInfo(
        path=Path("source.mp4"),
        width_px=width,
        height_px=height,
        rotation_deg=0,
        time_base=time_base,
        frame_rate=rate,
        num_frames=None,
        **fields,  # type: ignore[arg-type]
    )


def pictures(count: int, width: int = 64, height: int = 64) -> np.ndarray:
    return np.stack([moving_picture(i, width, height) for i in range(count)])


def even_pts(count: int, step: int = 512) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * step


def read_all(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``[F, H, W, 3]`` and seconds ``[F]``."""
    with VideoReader(path) as reader:
        chunks = list(reader.read_chunks(16))
        pts = np.concatenate([c.pts for c in chunks])
        return np.concatenate([c.rgb for c in chunks]), pts * float(reader.info.time_base)
