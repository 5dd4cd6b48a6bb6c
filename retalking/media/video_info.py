"""What a file says about its video, and how many frames a second are meant."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange

from retalking.errors import MediaError
from retalking.media.container import decode_frames, open_input
from retalking.media.hdr import read_hdr
from retalking.media.images import (
    HEIF_BRANDS,
    check_sides,
    heif_error,
    is_still_image,
    load_image,
)
from retalking.media.orientation import Orientation
from retalking.media.tracks import video_stream
from retalking.types import ColorTags, VideoInfo

_log = logging.getLogger(__name__)

STILL_IMAGE_RATE = Fraction(25)
_UNKNOWN_TIME_BASE = Fraction(1, 90000)
_HDR_TRANSFERS = (16, 18)  # SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)
_USUAL_RATES = (
    *(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (15, 24, 30, 48, 60, 120, 240)),
    Fraction(25, 2),
)
_RATE_TOLERANCE, _RATE_ROUNDING = 0.005, 0.0002
_FASTEST = 1000
_LOOKED_AT, _LOOKED_AT_BYTES = 300, 64 * 2**20
"""Packets from which the frame rate is taken."""


def probe(path: Path, still_image_rate: Fraction = STILL_IMAGE_RATE) -> VideoInfo:
    """Describe a video, or a still image as a video of one frame.

    Args:
        path: any container and codec FFmpeg reads, or an image.
        still_image_rate: frames per second of a still image.

    Raises:
        MediaError: unreadable, or without a video stream that can be decoded.
    """
    if path.is_file() and is_still_image(path):
        height, width = load_image(path).shape[:2]
        return VideoInfo(
            path=path,
            width_px=width,
            height_px=height,
            rotation_deg=0,
            time_base=1 / still_image_rate,
            frame_rate=still_image_rate,
            num_frames=1,
            is_image=True,
            color=ColorTags(range=int(ColorRange.JPEG), space=0),
        )
    with open_input(path) as container:
        _refuse_heif(container, path)
        stream = video_stream(container, path)
        frame = next(decode_frames(container, stream, path), None)
        if frame is None:
            raise MediaError(f"{path}: no frame of its video can be decoded")
        if max(part.bits for part in frame.format.components) > 8:
            hdr = " HDR" if frame.color_trc in _HDR_TRANSFERS else ""
            _log.warning("%s:%s video of more than 8 bits is processed in 8 bits", path, hdr)
        check_sides(frame.width, frame.height, path)
        turn = Orientation(frame)
        width, height = frame.width, frame.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if turn.transposed:
            width, height, aspect = height, width, 1 / aspect
        return VideoInfo(
            path=path,
            width_px=width,
            height_px=height,
            rotation_deg=turn.clockwise_deg,
            time_base=stream.time_base or _UNKNOWN_TIME_BASE,
            frame_rate=nominal_rate(container, stream, path),
            num_frames=stream.frames or None,
            color=ColorTags(
                range=int(frame.color_range),
                primaries=int(frame.color_primaries),
                transfer=int(frame.color_trc),
                space=int(frame.colorspace),
                hdr=read_hdr(frame),
            ),
            sample_aspect_ratio=aspect,
        )


def _refuse_heif(container: av.container.InputContainer, path: Path) -> None:
    """A photograph of a phone: FFmpeg shows its tiles, or its thumbnail, as videos of one frame."""
    if container.metadata.get("major_brand") in HEIF_BRANDS and container.duration is None:
        raise heif_error(path)


def nominal_rate(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path
) -> Fraction:
    """Frames per second between most frames, whatever gaps and jitter there are.

    Of files that do not tell, such as what browsers record, FFmpeg guesses the tick of the clock,
    often 1000.

    Args:
        container: anywhere near the start of the file.
        stream: of it.
        path: of it.
    """
    told = stream.average_rate or stream.guessed_rate or stream.base_rate
    usual = _usual_gap_s(container, stream, path)
    if usual is None:
        return told if told and told <= _FASTEST else STILL_IMAGE_RATE
    gap_s, uncertainty = usual
    if told and abs(float(told) * gap_s - 1) < uncertainty:
        return told
    nearest = min(_USUAL_RATES, key=lambda rate: abs(float(rate) * gap_s - 1))
    if abs(float(nearest) * gap_s - 1) < _RATE_TOLERANCE:
        return nearest
    return Fraction(min(1 / gap_s, _FASTEST)).limit_denominator(1000)


def _usual_gap_s(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path
) -> tuple[float, float] | None:
    """Mean of the gaps between frames that are near the median one, and what share is rounding."""
    stamps: list[int] = []
    num_bytes = 0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                stamps.append(packet.pts)
            num_bytes += packet.size
            if len(stamps) >= _LOOKED_AT or num_bytes > _LOOKED_AT_BYTES:
                break
    except av.error.FFmpegError as error:
        _log.debug("%s: while looking for the frame rate: %s", path, error.strerror)
    gaps = np.diff(np.unique(np.array(stamps, dtype=np.int64)))
    if len(gaps) == 0 or stream.time_base is None:
        return None
    middle = np.sort(gaps)[len(gaps) // 2]
    usual = gaps[(gaps > middle / 2) & (gaps < middle * 1.5)]
    return float(usual.mean()) * float(stream.time_base), 1 / float(usual.sum()) + _RATE_ROUNDING
