"""The values that flow between stages.

Conventions: pictures are RGB uint8 ``[..., H, W, 3]``; boxes are ``(x1, y1, x2, y2)`` and points
``(x, y)`` in pixels with the origin at the centre of the top-left pixel; time is in seconds from the
first frame. ``F`` counts the frames of a video, ``T`` those of a chunk. All values are frozen and
check their own shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def _expect(name: str, array: NDArray[np.generic], shape: tuple[int | None, ...], dtype: type) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        wanted = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name}: got {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}[{wanted}]"
        )


@dataclass(frozen=True)
class ColorTags:
    """How the pixels of a stream are to be read; FFmpeg's integer codes, 2 or 0 = unspecified."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    space: int = 2


@dataclass(frozen=True)
class VideoInfo:
    """What the container says about a video (or a still image) after rotation is applied."""

    path: Path
    width_px: int
    height_px: int
    rotation_deg: int
    """Clockwise rotation that makes the stored frames upright: 0, 90, 180 or 270."""
    time_base: Fraction
    """Seconds per tick of a frame's ``pts``."""
    frame_rate: Fraction
    """Nominal frames per second."""
    num_frames: int | None
    """The container's count, which may be wrong or absent."""
    is_image: bool = False
    color: ColorTags = field(default_factory=ColorTags)


@dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames of a video.

    Attributes:
        start: index of the first frame.
        pts: int64 ``[T]``, presentation time in ticks of ``VideoInfo.time_base``.
        rgb: uint8 ``[T, H, W, 3]``.
    """

    start: int
    pts: IntArray
    rgb: UInt8Array

    def __post_init__(self) -> None:
        _expect("FrameChunk.pts", self.pts, (None,), np.int64)
        _expect("FrameChunk.rgb", self.rgb, (len(self.pts), None, None, 3), np.uint8)

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class AudioClip:
    """Mono audio: float32 ``[N]`` in [-1, 1]."""

    samples: FloatArray
    sample_rate_hz: int

    def __post_init__(self) -> None:
        _expect("AudioClip.samples", self.samples, (None,), np.float32)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class FaceTrack:
    """One person through a video.

    Attributes:
        boxes_px: float32 ``[F, 4]``; rows of undetected frames are bridged or zero.
        landmarks_px: float32 ``[F, 68, 2]`` in the iBUG order.
        confidence: float32 ``[F]`` in [0, 1].
        detected: bool ``[F]``; false where no face was seen and none could be bridged.
        shot_id: int64 ``[F]``, counts up at every cut.
    """

    boxes_px: FloatArray
    landmarks_px: FloatArray
    confidence: FloatArray
    detected: BoolArray
    shot_id: IntArray

    def __post_init__(self) -> None:
        frames = len(self.detected)
        _expect("FaceTrack.boxes_px", self.boxes_px, (frames, 4), np.float32)
        _expect("FaceTrack.landmarks_px", self.landmarks_px, (frames, 68, 2), np.float32)
        _expect("FaceTrack.confidence", self.confidence, (frames,), np.float32)
        _expect("FaceTrack.detected", self.detected, (frames,), np.bool_)
        _expect("FaceTrack.shot_id", self.shot_id, (frames,), np.int64)

    def __len__(self) -> int:
        return len(self.detected)


@dataclass(frozen=True)
class FaceCoefficients:
    """3DMM coefficients that D-Net reads (paper section 3.1), one row per frame, all float32.

    Attributes:
        expression: ``[F, 64]``.
        angle: ``[F, 3]`` pitch, yaw, roll in radians.
        translation: ``[F, 3]``.
        crop: ``[F, 3]`` (scale, tx, ty) of the alignment crop, as Deep3DFaceRecon's ``trans_params[2:]``.
    """

    expression: FloatArray
    angle: FloatArray
    translation: FloatArray
    crop: FloatArray

    def __post_init__(self) -> None:
        frames = len(self.expression)
        _expect("FaceCoefficients.expression", self.expression, (frames, 64), np.float32)
        for name in ("angle", "translation", "crop"):
            _expect(f"FaceCoefficients.{name}", getattr(self, name), (frames, 3), np.float32)

    def __len__(self) -> int:
        return len(self.expression)
