"""The values that flow between stages.

Conventions: pictures are RGB uint8 ``[..., H, W, 3]``; boxes are ``(x1, y1, x2, y2)`` and points
``(x, y)`` in pixels with the origin at the centre of the top-left pixel; time is in seconds from
the first frame. ``F`` counts the frames of a video, ``T`` those of a chunk. All values are frozen
and check their own shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retalking.arrays import scratch

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def _expect(
    name: str, array: NDArray[np.generic], shape: tuple[int | None, ...], dtype: type
) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        wanted = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name}: got {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}[{wanted}]"
        )


@dataclass(frozen=True)
class HdrMetadata:
    """What HDR video says of its light, in the units of a bit stream.

    Attributes:
        display: x and y of red, green, blue and white in 0.00002, then the least and the greatest
            luminance in 0.0001 cd/m2.
        light: the brightest pixel and the brightest frame's mean in cd/m2.
    """

    display: tuple[int, ...] | None
    light: tuple[int, int] | None


@dataclass(frozen=True)
class ColorTags:
    """How the pixels of a stream are to be read; FFmpeg's integer codes, 2 or 0 = unspecified."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    space: int = 2
    hdr: HdrMetadata | None = None


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
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width to height of a pixel as it is to be shown."""


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
        """Length in seconds."""
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
        depth_px: float32 ``[F, 68]`` depth of the landmarks in pixels, smaller is nearer, mean 0;
            ``None`` where the landmark finder works in the plane.
    """

    boxes_px: FloatArray
    landmarks_px: FloatArray
    confidence: FloatArray
    detected: BoolArray
    shot_id: IntArray
    depth_px: FloatArray | None = None

    def __post_init__(self) -> None:
        frames = len(self.detected)
        _expect("FaceTrack.boxes_px", self.boxes_px, (frames, 4), np.float32)
        _expect("FaceTrack.landmarks_px", self.landmarks_px, (frames, 68, 2), np.float32)
        _expect("FaceTrack.confidence", self.confidence, (frames,), np.float32)
        _expect("FaceTrack.detected", self.detected, (frames,), np.bool_)
        _expect("FaceTrack.shot_id", self.shot_id, (frames,), np.int64)
        if self.depth_px is not None:
            _expect("FaceTrack.depth_px", self.depth_px, (frames, 68), np.float32)

    def __len__(self) -> int:
        return len(self.detected)


FACE_PORTRAIT_PX = 112
"""Side of the portrait that a face segment keeps; what face recognition networks read."""


@dataclass(frozen=True)
class FaceSegment:
    """One face through consecutive frames of one shot.

    Attributes:
        start: index of its first frame.
        boxes_px: float32 ``[T, 4]``.
        points_px: float32 ``[T, 68, 3]`` landmarks with depth.
        confidence: float32 ``[T]``; 0 where the face was not seen and its place interpolated.
        portrait: uint8 ``[112, 112, 3]``, upright crop of one of its most frontal frames, by which
            the person can be told from others.
    """

    start: int
    boxes_px: FloatArray
    points_px: FloatArray
    confidence: FloatArray
    portrait: UInt8Array

    def __post_init__(self) -> None:
        frames = len(self.confidence)
        _expect("FaceSegment.boxes_px", self.boxes_px, (frames, 4), np.float32)
        _expect("FaceSegment.points_px", self.points_px, (frames, 68, 3), np.float32)
        _expect("FaceSegment.confidence", self.confidence, (frames,), np.float32)
        size = FACE_PORTRAIT_PX
        _expect("FaceSegment.portrait", self.portrait, (size, size, 3), np.uint8)

    @property
    def stop(self) -> int:
        """Index after the last frame."""
        return self.start + len(self.confidence)


@dataclass(frozen=True)
class FaceTracks:
    """All faces of a video, as many segments as it takes.

    Attributes:
        segments: in the order in which they begin.
        shot_id: int64 ``[F]``, counts up at every cut.
        pts: int64 ``[F]``, presentation time of every frame in ticks.
    """

    segments: tuple[FaceSegment, ...]
    shot_id: IntArray
    pts: IntArray

    def __post_init__(self) -> None:
        _expect("FaceTracks.shot_id", self.shot_id, (None,), np.int64)
        _expect("FaceTracks.pts", self.pts, (len(self.shot_id),), np.int64)

    def __len__(self) -> int:
        return len(self.shot_id)


@dataclass(frozen=True)
class FaceCoefficients:
    """3DMM coefficients that D-Net reads (paper section 3.1), one row per frame, all float32.

    Attributes:
        expression: ``[F, 64]``.
        angle: ``[F, 3]`` pitch, yaw, roll in radians.
        translation: ``[F, 3]``.
        crop: ``[F, 3]`` (scale, tx, ty) of the alignment crop, Deep3DFaceRecon's
            ``trans_params[2:]``.
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

    def rows(self, chosen: BoolArray | IntArray | slice) -> FaceCoefficients:
        """Return the coefficients of some frames."""
        return FaceCoefficients(
            scratch.take(self.expression, chosen),
            self.angle[chosen],
            self.translation[chosen],
            self.crop[chosen],
        )


@dataclass(frozen=True)
class VideoAnalysis:
    """What the second pass needs to know about a video.

    Attributes:
        info: of the source.
        pts: int64 ``[F]``, presentation time of every frame in ticks.
        track: the face to edit; ``detected`` says which frames are edited.
        crops: float64 ``[F, 2, 3]``, frame to the 256 px crop that D-Net reads.
        coefficients: of these crops; frames without a face have those of the nearest with one.
    """

    info: VideoInfo
    pts: IntArray
    track: FaceTrack
    crops: Float64Array
    coefficients: FaceCoefficients

    def __post_init__(self) -> None:
        frames = len(self.track)
        _expect("VideoAnalysis.pts", self.pts, (frames,), np.int64)
        _expect("VideoAnalysis.crops", self.crops, (frames, 2, 3), np.float64)
        _expect("FaceCoefficients.angle", self.coefficients.angle, (frames, 3), np.float32)

    @property
    def time_s(self) -> Float64Array:
        """Seconds since the first frame, float64 ``[F]``."""
        return (self.pts - self.pts[0]) * float(self.info.time_base)


def describe_frames(chosen: BoolArray, max_ranges: int = 6) -> str:
    """Write the frames chosen by bool ``[F]`` as ranges, such as ``3-7, 12``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    ranges = [
        f"{start}" if stop == start + 1 else f"{start}-{stop - 1}"
        for start, stop in edges.reshape(-1, 2)
    ]
    more = f" and {len(ranges) - max_ranges} more" if len(ranges) > max_ranges else ""
    return ", ".join(ranges[:max_ranges]) + more
