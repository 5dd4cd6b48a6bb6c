"""Which of a file's streams are its picture and its sound, and when each begins."""

from __future__ import annotations

from pathlib import Path

import av
from av.stream import Disposition

from retalking.errors import MediaError

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_FOR_SOME = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.dependent
)
"""Tracks for a part of the audience, which nobody means who names no track."""


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream that a player shows: the default one, else the largest.

    Raises:
        MediaError: there is none that can be decoded.
    """
    streams = [s for s in container.streams.video if not s.disposition & _PICTURES]
    if not streams:
        raise MediaError(f"{path}: has no video stream")
    known = [s for s in streams if s.codec_context is not None and s.codec_context.width]
    if not known:
        raise MediaError(f"{path}: its video codec is not supported; convert it to H.264")

    def rank(stream: av.VideoStream) -> tuple[bool, int]:
        size = stream.codec_context.width * stream.codec_context.height
        return bool(stream.disposition & Disposition.default), size

    return max(known, key=rank)


def audio_stream(
    container: av.container.InputContainer, path: Path, number: int | None = None
) -> av.AudioStream:
    """The stream that a player plays: the default one, else the first that is for everybody.

    Args:
        container: the open file.
        path: of it.
        number: which of the audio streams to take instead, from 0.

    Raises:
        MediaError: there is none, not this many, or it cannot be decoded.
    """
    streams = container.streams.audio
    if not streams:
        raise MediaError(f"{path}: has no audio stream; give a file with speech")
    if number is not None:
        if number >= len(streams):
            raise MediaError(
                f"{path}: --audio-track {number}, but it has {len(streams)} audio tracks, from 0"
            )
        stream = streams[number]
    else:
        usable = [s for s in streams if _decodable(s)] or [streams[0]]
        stream = max(
            usable,
            key=lambda s: (
                bool(s.disposition & Disposition.default),
                not s.disposition & _FOR_SOME,
            ),
        )
    if not _decodable(stream):
        raise MediaError(f"{path}: its audio codec is not supported; convert it to WAV")
    return stream


def first_picture_s(container: av.container.InputContainer, path: Path) -> float | None:
    """When the picture begins on the file's clock; ``None`` for a file of sound alone."""
    try:
        stream = video_stream(container, path)
    except MediaError:
        return None
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _decodable(stream: av.AudioStream) -> bool:
    return stream.codec_context is not None and bool(stream.codec_context.sample_rate)
