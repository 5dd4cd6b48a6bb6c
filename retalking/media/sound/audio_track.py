"""The sound of an output file: copied where that is exact, else encoded at its own sample rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import av.error
import numpy as np

from retalking.errors import MediaError
from retalking.media.container import open_input
from retalking.media.sound.audio import read_blocks
from retalking.media.sound.audio_info import AudioInfo, probe_audio
from retalking.media.sound.downmix import mix, stereo_weights
from retalking.types import Float64Array, FloatArray

_log = logging.getLogger(__name__)

_BITS_PER_CHANNEL = 96_000
_COPY_SLACK_S = 0.05
"""How far a copied track may outlast its end: the padding of the last AAC frames."""
_IN_AAC = ("2.1", "3.0", "3.0(back)", "4.0", "quad", "5.0", "5.1", "7.1")
"""Layouts that AAC files name; of others FFmpeg's decoder says only how many channels there are."""
_MOST_NAMED = 8
"""Channels in the layouts that other files name."""
_KEEPS_TIME_S = 0.001
"""Sound that begins this close to the first picture is copied as it is."""


class SoundChange(Protocol):
    """Something that is done to sound while it flows."""

    def apply(self, blocks: Iterator[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
        """Yield as many samples as come in: float32 ``[C, N]`` blocks."""


@dataclass(frozen=True)
class AudioTrack:
    """The part of an audio file that is heard from the first frame of the output on."""

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None
    """Where the sound is cut, or until where silence may follow it; None plays all of it."""
    number: int | None = None
    """Which of the file's audio streams, from 0; None for the default one."""
    mark: SoundChange | None = None
    """What is done to the sound from its beginning on, which then is never copied."""


class AudioMuxer:
    """Adds one audio stream to an output container and feeds it in step with the video."""

    def __init__(
        self,
        track: AudioTrack,
        container: av.container.OutputContainer,
        copied_codecs: frozenset[str],
        encoder: str,
        resources: ExitStack,
    ) -> None:
        """Add the stream.

        Args:
            track: what is to be heard.
            container: output that has not been written to.
            copied_codecs: codecs whose packets the container takes without a shift in time.
            encoder: FFmpeg's name of the encoder for everything else.
            resources: closes the audio file with the output.

        Raises:
            MediaError: the file has no audio that can be read.
        """
        info = probe_audio(track.path, track.number)
        whole = (
            track.mark is None
            and track.start_s == 0
            and abs(info.starts_s) < _KEEPS_TIME_S
            and (
                track.duration_s is None
                or (info.duration_s or np.inf) <= track.duration_s + _COPY_SLACK_S
            )
        )
        self._container = container
        self.stream: av.AudioStream
        # Matroska says nothing about where the channels of PCM belong; FLAC does.
        unnamed = "matroska" in container.format.name and info.codec.startswith("pcm")
        if whole and info.codec in copied_codecs and not (unnamed and info.num_channels > 2):
            source = resources.enter_context(open_input(track.path))
            copied = source.streams.audio[info.track]
            self.stream = container.add_stream_from_template(copied)
            self._packets = _copied_packets(source, copied, self.stream, track.path)
        else:
            rates = av.Codec(encoder, "w").audio_rates or [info.sample_rate_hz]
            rate = min((r for r in rates if r >= info.sample_rate_hz), default=max(rates))
            layout, weights = _fit_layout(encoder, rate, info)
            stream = container.add_stream(encoder, rate=rate, layout=layout)
            assert isinstance(stream, av.AudioStream)
            self.stream = stream
            blocks = read_blocks(info)
            if weights is not None:
                blocks = (mix(weights, block) for block in blocks)
            if track.mark is not None:
                blocks = track.mark.apply(blocks, info.sample_rate_hz)
            num_channels = av.AudioLayout(layout).nb_channels
            self.stream.bit_rate = _BITS_PER_CHANNEL * num_channels
            blocks = _cut(blocks, track, info.sample_rate_hz, num_channels)
            self._packets = _encoded_packets(blocks, self.stream, info.sample_rate_hz, layout)
        if info.language:
            self.stream.metadata["language"] = info.language
        self._next: av.Packet | None = None
        self._begun = False

    def write_until(self, time_s: float) -> None:
        """Write the packets that start before ``time_s`` and have not been written."""
        if not self._begun:
            self._begun, self._next = True, next(self._packets, None)
        while self._next is not None:
            packet = self._next
            if packet.dts is not None and packet.dts * packet.time_base >= time_s:
                break
            self._container.mux(packet)
            self._next = next(self._packets, None)


def _fit_layout(encoder: str, rate_hz: int, info: AudioInfo) -> tuple[str, Float64Array | None]:
    """A layout that the encoder takes, and the weights that mix the sound down to it."""
    places = [name for name in info.channels if name != "NONE"]
    if info.num_channels <= 2:
        return ("mono", "stereo")[info.num_channels - 1], None
    if places:
        for name in (info.layout, info.layout.replace("(side)", "")):
            named = name in _IN_AAC if encoder == "aac" else info.num_channels <= _MOST_NAMED
            if named and _can_encode(encoder, rate_hz, name):
                return name, None
        _log.warning(
            "%s: its %s sound is mixed down to stereo, which %s can hold",
            info.path,
            info.layout,
            encoder,
        )
        return "stereo", stereo_weights(info.channels)
    _log.warning(
        "%s: nothing says what its %d channels are; mixed down to one",
        info.path,
        info.num_channels,
    )
    return "mono", stereo_weights(info.channels)[:1]


def _can_encode(encoder: str, rate_hz: int, layout: str) -> bool:
    codec = av.Codec(encoder, "w")
    context = av.CodecContext.create(codec)
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = rate_hz, layout
    context.format = (codec.audio_formats or [av.AudioFormat("fltp")])[0]
    try:
        context.open()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _copied_packets(
    source: av.container.InputContainer,
    copied: av.AudioStream,
    stream: av.AudioStream,
    path: Path,
) -> Iterator[av.Packet]:
    origin = copied.start_time or 0  # where the first audible sample is
    try:
        for packet in source.demux(copied):
            if packet.pts is None or packet.dts is None:  # the empty packet that ends the stream
                continue
            packet.pts, packet.dts = packet.pts - origin, packet.dts - origin
            packet.stream = stream
            yield packet
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from error


def _encoded_packets(
    blocks: Iterator[FloatArray], stream: av.AudioStream, rate_hz: int, layout: str
) -> Iterator[av.Packet]:
    done = 0
    for block in blocks:
        packed = np.ascontiguousarray(block.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts = rate_hz, done
        done += block.shape[1]
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _cut(
    blocks: Iterator[FloatArray], track: AudioTrack, rate_hz: int, num_channels: int
) -> Iterator[FloatArray]:
    """Blocks of exactly the samples from ``start_s`` on, ``duration_s`` long if that is given."""
    skip = round(track.start_s * rate_hz)
    left = None if track.duration_s is None else round(track.duration_s * rate_hz)
    for block in blocks:
        kept = block[:, skip:][:, :left]
        skip = max(0, skip - block.shape[1])
        if left is not None:
            left -= kept.shape[1]
        if kept.shape[1]:
            yield kept
        if left == 0:
            return
    while left:
        silence = np.zeros((num_channels, min(left, rate_hz)), dtype=np.float32)
        left -= silence.shape[1]
        yield silence
