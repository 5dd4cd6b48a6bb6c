"""Speech from any file with an audio stream, decoded as a stream of blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.errors import MediaError
from retalking.media.container import decode_frames, open_input
from retalking.types import AudioClip, FloatArray

_log = logging.getLogger(__name__)

_SILENCE_LEVEL = 1e-4
"""Peaks below this (-80 dBFS) carry no speech."""
_LONGEST_PADDING = 4096
"""Samples; two packets of the AAC variant with the longest packets."""
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.1, 60.0
"""Holes in the timestamps within these bounds are lost sound; others are muxing noise or resets."""


@dataclass(frozen=True)
class AudioInfo:
    """What the container says about the first audio stream of a file."""

    path: Path
    codec: str
    sample_rate_hz: int
    layout: str
    """FFmpeg's name of the channel layout, such as ``mono`` or ``5.1``."""
    num_channels: int
    duration_s: float | None
    """The container's figure."""
    trims_padding: bool
    """Whether that figure leaves out what the codec adds to fill its last packet."""


def probe_audio(path: Path) -> AudioInfo:
    """Describe the first audio stream without decoding it.

    Raises:
        MediaError: the file cannot be read or has no audio stream that can be decoded.
    """
    with open_input(path) as container:
        stream = _first_stream(container, path)
        context = stream.codec_context
        if stream.duration is not None and stream.time_base is not None:
            seconds: float | None = float(stream.duration * stream.time_base)
        else:
            seconds = None if container.duration is None else container.duration / av.time_base
        return AudioInfo(
            path=path,
            codec=context.codec.canonical_name,
            sample_rate_hz=context.sample_rate,
            layout=context.layout.name,
            num_channels=context.layout.nb_channels,
            duration_s=seconds,
            trims_padding="mp4" in container.format.name,
        )


def read_blocks(path: Path) -> Iterator[FloatArray]:
    """Yield the audio at its own rate and channels, float32 ``[C, N]``, nominally in [-1, 1].

    Time 0 is the first audible sample, and the codec's padding at either end is left out. Sound
    that is missing inside the stream becomes silence, so that what follows keeps its time.

    Raises:
        MediaError: the file cannot be read, or has no audio stream that can be decoded.
    """
    info = probe_audio(path)
    if info.trims_padding and info.duration_s:
        yield from _without_padding(_decode(path), round(info.duration_s * info.sample_rate_hz))
    else:
        yield from _decode(path)


def _without_padding(blocks: Iterator[FloatArray], length: int) -> Iterator[FloatArray]:
    """Blocks up to ``length`` samples, or all where much more shows that the length is wrong."""
    done = 0
    beyond: list[FloatArray] = []
    for block in blocks:
        kept = block[:, : max(0, length - done)]
        done += block.shape[1]
        if kept.shape[1]:
            yield kept
        if done > length:
            beyond.append(block[:, kept.shape[1] :])
        if done > length + _LONGEST_PADDING:
            yield from beyond
            yield from blocks


def _decode(path: Path) -> Iterator[FloatArray]:
    with open_input(path) as container:
        stream = _first_stream(container, path)
        stream.codec_context.thread_type = "AUTO"
        rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout
        resampler, source = None, None
        num_done, origin = 0, None
        for frame in decode_frames(container, stream, path):
            if (frame.format.name, frame.layout.name, frame.sample_rate) != source:
                source = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = av.AudioResampler("fltp", layout, rate)
            if frame.time is not None:
                due = round(frame.time * rate)
                origin = due if origin is None else origin
                hole = due - origin - num_done
                if _SHORTEST_GAP_S * rate < hole < _LONGEST_GAP_S * rate:
                    yield np.zeros((layout.nb_channels, hole), dtype=np.float32)
                    num_done += hole
                else:
                    origin = due - num_done if abs(hole) > _LONGEST_GAP_S * rate else origin
            for piece in resampler.resample(frame):  # type: ignore[union-attr]
                block = piece.to_ndarray().astype(np.float32, copy=False)
                num_done += block.shape[1]
                yield block


def load(path: Path, sample_rate_hz: int = 16000) -> AudioClip:
    """Decode the speech to mono: the mean of the channels, resampled as librosa does (soxr HQ).

    Raises:
        MediaError: unreadable, without audio, of zero length, or with NaN or infinite samples.
    """
    info = probe_audio(path)
    resampler = soxr.ResampleStream(info.sample_rate_hz, sample_rate_hz, 1, "float32", "HQ")
    num_read = 0
    samples = bytearray()  # grows in place, so an hour needs little more than its own 230 MB
    for block in read_blocks(path):
        mono = block.mean(axis=0, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise MediaError(f"{path}: the audio has NaN or infinite samples; export it again")
        num_read += len(mono)
        if info.sample_rate_hz != sample_rate_hz:
            mono = resampler.resample_chunk(mono)
        samples.extend(mono.tobytes())
    if info.sample_rate_hz != sample_rate_hz:
        samples.extend(resampler.resample_chunk(np.zeros(0, np.float32), last=True).tobytes())
        wanted = -(-num_read * sample_rate_hz // info.sample_rate_hz)  # librosa rounds up
        del samples[4 * wanted :]
        samples.extend(bytes(4 * wanted - len(samples)))
    clip = AudioClip(np.frombuffer(samples, dtype=np.float32), sample_rate_hz)
    if len(clip.samples) == 0:
        raise MediaError(f"{path}: the audio has zero length")
    if max(clip.samples.max(), -clip.samples.min()) < _SILENCE_LEVEL:
        _log.warning("%s: the audio is silent throughout; the lips will not speak", path)
    return clip


def _first_stream(container: av.container.InputContainer, path: Path) -> av.AudioStream:
    if not container.streams.audio:
        raise MediaError(f"{path}: has no audio stream; give a file with speech")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.codec_context.sample_rate:
        raise MediaError(f"{path}: its audio codec is not supported; convert it to WAV")
    return stream
