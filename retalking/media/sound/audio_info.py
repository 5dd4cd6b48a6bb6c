"""What a file says about its sound, and when that begins against its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from retalking.errors import MediaError
from retalking.media.container import decode_frames, open_input
from retalking.media.tracks import audio_stream, first_picture_s

_LONGEST_LEAD_S = 600.0
"""Sound and picture that begin further apart are not meant to be seen together."""
_SLOWEST_HZ, _FASTEST_HZ = 2_000, 768_000
_MOST_CHANNELS = 64


@dataclass(frozen=True)
class AudioInfo:
    """What the container says about the audio stream of a file that is heard."""

    path: Path
    track: int
    """Its number among the audio streams, from 0."""
    num_tracks: int
    codec: str
    sample_rate_hz: int
    layout: str
    """FFmpeg's name of the channel layout, such as ``mono``, ``5.1`` or ``3 channels``."""
    channels: tuple[str, ...]
    """FFmpeg's names of the channels' places."""
    duration_s: float | None
    """The container's figure."""
    trims_padding: bool
    """Whether that figure leaves out what the codec adds to fill its last packet."""
    starts_s: float
    """When it begins after time 0; negative if before it."""
    language: str | None = None

    @property
    def num_channels(self) -> int:
        """How many channels there are."""
        return len(self.channels)


def probe_audio(path: Path, track: int | None = None) -> AudioInfo:
    """Describe the audio stream that is heard; no more than its first packets are decoded.

    Args:
        path: of the file.
        track: which of its audio streams, from 0; else the default one.

    Raises:
        MediaError: the file cannot be read or has no audio stream that can be decoded.
    """
    with open_input(path) as container:
        stream = audio_stream(container, path, track)
        context = stream.codec_context
        rate, channels = context.sample_rate, context.layout.nb_channels
        if not _SLOWEST_HZ <= rate <= _FASTEST_HZ:
            raise MediaError(
                f"{path}: its sound has {rate} samples a second, expected {_SLOWEST_HZ} to "
                f"{_FASTEST_HZ}; is the header damaged?"
            )
        if not 1 <= channels <= _MOST_CHANNELS:
            raise MediaError(
                f"{path}: its sound has {channels} channels, expected 1 to {_MOST_CHANNELS}; "
                "is the header damaged?"
            )
        if stream.duration is not None and stream.time_base is not None:
            seconds: float | None = float(stream.duration * stream.time_base)
        else:
            seconds = None if container.duration is None else container.duration / av.time_base
        starts_s, zero_s = 0.0, first_picture_s(container, path)
        if zero_s is not None:
            first = next(decode_frames(container, stream, path), None)
            if first is not None and first.time is not None:
                starts_s = first.time - zero_s
        return AudioInfo(
            path=path,
            track=container.streams.audio.index(stream),
            num_tracks=len(container.streams.audio),
            codec=context.codec.canonical_name,
            sample_rate_hz=rate,
            layout=context.layout.name,
            channels=tuple(channel.name for channel in context.layout.channels),
            duration_s=seconds,
            trims_padding="mp4" in container.format.name,
            starts_s=starts_s if abs(starts_s) <= _LONGEST_LEAD_S else 0.0,
            language=stream.language,
        )
