"""The sound of an output file: copied where that is exact, else encoded at its own sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np

from retalking.errors import MediaError
from retalking.media.audio import probe_audio, read_blocks
from retalking.media.container import open_input
from retalking.types import FloatArray

_BITS_PER_CHANNEL = 96_000
_COPY_SLACK_S = 0.05
"""How far a copied track may outlast its end: the padding of the last AAC frames."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(frozen=True)
class AudioTrack:
    """The part of an audio file that is heard from the first frame of the output on."""

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None
    """Where the sound is cut, or until where silence may follow it; None plays all of it."""


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
        info = probe_audio(track.path)
        whole = track.start_s == 0 and (
            track.duration_s is None
            or (info.duration_s or np.inf) <= track.duration_s + _COPY_SLACK_S
        )
        self._container = container
        self.stream: av.AudioStream
        if whole and info.codec in copied_codecs:
            source = resources.enter_context(open_input(track.path))
            self.stream = container.add_stream_from_template(source.streams.audio[0])
            self._packets = _copied_packets(source, self.stream, track.path)
        else:
            rates = av.Codec(encoder, "w").audio_rates or [info.sample_rate_hz]
            rate = min((r for r in rates if r >= info.sample_rate_hz), default=max(rates))
            layout = _LAYOUTS.get(info.num_channels, info.layout)
            try:
                stream = container.add_stream(encoder, rate=rate, layout=layout)
            except (ValueError, av.error.FFmpegError) as error:
                raise MediaError(
                    f"{track.path}: {info.num_channels} channels cannot be written; mix to stereo"
                ) from error
            assert isinstance(stream, av.AudioStream)
            self.stream = stream
            self.stream.bit_rate = _BITS_PER_CHANNEL * info.num_channels
            blocks = _cut(read_blocks(track.path), track, info.sample_rate_hz, info.num_channels)
            self._packets = _encoded_packets(blocks, self.stream, info.sample_rate_hz, layout)
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


def _copied_packets(
    source: av.container.InputContainer, stream: av.AudioStream, path: Path
) -> Iterator[av.Packet]:
    origin = source.streams.audio[0].start_time or 0  # where the first audible sample is
    try:
        for packet in source.demux(source.streams.audio[0]):
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
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
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
