"""Speech from any file with an audio stream, decoded as a stream of blocks.

Time 0 of a file is its first picture, or its first audible sample where it has no picture. What is
heard with the first frame of one file is therefore heard with the first frame of the output,
whether the speech comes from the face's own file or from another.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.arrays import scratch
from retalking.errors import MediaError
from retalking.media.container import decode_frames, open_input
from retalking.media.sound.audio_info import AudioInfo, probe_audio
from retalking.media.sound.downmix import SpeechMixer
from retalking.media.tracks import audio_stream
from retalking.types import AudioClip, FloatArray

_log = logging.getLogger(__name__)

_SILENCE_LEVEL = 1e-4
"""Peaks below this (-80 dBFS) carry no speech."""
_LONGEST_PADDING = 4096
"""Samples; two packets of the AAC variant with the longest packets."""
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.1, 60.0
"""Holes in the timestamps within these bounds are lost sound; others are muxing noise or resets."""
_MOST_SILENCE_S, _MOST_SILENCE_RATIO = 600.0, 10.0
"""Silence that may be put into holes, at least, and for every second of sound."""
LONGEST_S = 4 * 3600.0
"""Speech that is kept at once: 0.9 GB, in a file."""
_BLOCK_SAMPLES = 2**16
_SOFTEST_CENTRE = 0.01
"""Power of a centre channel, of the mixture's, that makes it the one with the dialogue."""


def read_blocks(info: AudioInfo) -> Iterator[FloatArray]:
    """Yield the audio at its own rate and channels, float32 ``[C, N]``, nominally in [-1, 1].

    From time 0 on, with silence until the first sample, and without the codec's padding at either
    end. Sound that is missing inside the stream becomes silence, so that what follows keeps its
    time.

    Raises:
        MediaError: the file cannot be read, or hardly holds any sound for its length.
    """
    blocks = _decode(info)
    if info.trims_padding and info.duration_s:
        blocks = _without_padding(blocks, round(info.duration_s * info.sample_rate_hz))
    shift = round(info.starts_s * info.sample_rate_hz)
    if shift > 0:
        yield np.zeros((info.num_channels, shift), dtype=np.float32)
    early = max(0, -shift)
    for block in blocks:
        kept = block[:, early:]
        early = max(0, early - block.shape[1])
        if kept.shape[1]:
            yield kept


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


def _decode(info: AudioInfo) -> Iterator[FloatArray]:
    rate = info.sample_rate_hz
    with open_input(info.path) as container:
        stream = audio_stream(container, info.path, info.track)
        stream.codec_context.thread_type = "AUTO"
        resampler, source = None, None
        num_done, num_silent, origin = 0, 0, None
        for frame in decode_frames(container, stream, info.path):
            if frame.time is not None:
                due = round(frame.time * rate)
                origin = due if origin is None else origin
                hole = due - origin - num_done
                if _SHORTEST_GAP_S * rate < hole < _LONGEST_GAP_S * rate:
                    sound = num_done - num_silent
                    num_silent += hole
                    _check_silence(info, num_silent / rate, sound / rate)
                    yield np.zeros((info.num_channels, hole), dtype=np.float32)
                    num_done += hole
                else:
                    origin = due - num_done if abs(hole) > _LONGEST_GAP_S * rate else origin
            try:
                if (frame.format.name, frame.layout.name, frame.sample_rate) != source:
                    source = (frame.format.name, frame.layout.name, frame.sample_rate)
                    # Packed: PyAV counts the planes of planar samples wrongly from 8 channels on.
                    resampler = av.AudioResampler("flt", info.layout, rate)
                pieces = resampler.resample(frame)  # type: ignore[union-attr]
            except (av.error.FFmpegError, ValueError) as error:
                raise MediaError(
                    f"{info.path}: its sound changes from {info.layout} to {frame.layout.name}, "
                    "which cannot be followed; convert it to WAV"
                ) from error
            for piece in pieces:
                packed = piece.to_ndarray().astype(np.float32, copy=False)
                block = np.ascontiguousarray(packed.reshape(-1, info.num_channels).T)
                num_done += block.shape[1]
                yield block


def _check_silence(info: AudioInfo, silent_s: float, sound_s: float) -> None:
    if silent_s > max(_MOST_SILENCE_S, _MOST_SILENCE_RATIO * sound_s):
        raise MediaError(
            f"{info.path}: its time stamps leave holes of {silent_s:.0f} s in {sound_s:.0f} s of "
            "sound; export it again, for instance as WAV"
        )


def load(
    path: Path,
    sample_rate_hz: int = 16000,
    *,
    track: int | None = None,
    max_seconds: float | None = None,
) -> AudioClip:
    """Decode the speech to mono, resampled as librosa does (soxr HQ).

    A centre channel that sounds is taken alone, since films have their dialogue there; else the
    channels are mixed, see ``SpeechMixer``.

    Args:
        path: of the file.
        sample_rate_hz: of the result.
        track: which of its audio streams, from 0; else the default one.
        max_seconds: stop there.

    Raises:
        MediaError: unreadable, without audio, of zero length, longer than ``LONGEST_S``, or with
            NaN or infinite samples.
    """
    info = probe_audio(path, track)
    _tell_what_is_not_heard(info, track)
    mixer = SpeechMixer(info.channels, info.sample_rate_hz)
    mixture = _Resampled(info, sample_rate_hz)
    has_centre = "FC" in info.channels and info.num_channels > 1
    centre = _Resampled(info, sample_rate_hz) if has_centre else None
    num_left = round(min(max_seconds or np.inf, LONGEST_S) * info.sample_rate_hz)
    for block in read_blocks(info):
        if num_left < block.shape[1] and max_seconds is None:
            raise MediaError(
                f"{path}: more than {LONGEST_S / 3600:g} hours of sound; cut it, or set "
                "--max-seconds"
            )
        part = block[:, :num_left]
        num_left -= part.shape[1]
        mixture.add(mixer.mix(part), path)
        if centre is not None:
            centre.add(part[info.channels.index("FC")], path)
        if num_left == 0:
            break
    samples = mixture.finish()
    if centre is not None:
        dialogue = centre.finish()
        if _power(dialogue) > _SOFTEST_CENTRE * _power(samples):
            samples = dialogue
    if len(samples) == 0:
        raise MediaError(f"{path}: the audio has zero length")
    if _peak(samples) < _SILENCE_LEVEL:
        _log.warning("%s: the audio is silent throughout; the lips will not speak", path)
    return AudioClip(samples, sample_rate_hz)


def _power(samples: FloatArray) -> float:
    parts = scratch.blocks(len(samples), _BLOCK_SAMPLES)
    return sum(float(np.vdot(samples[part], samples[part])) for part in parts)


def _peak(samples: FloatArray) -> float:
    parts = scratch.blocks(len(samples), _BLOCK_SAMPLES)
    return max(float(np.abs(samples[part]).max()) for part in parts)


def _tell_what_is_not_heard(info: AudioInfo, track: int | None) -> None:
    if info.num_tracks > 1 and track is None:
        _log.warning(
            "%s: %d audio tracks, hearing number %d%s; --audio-track chooses another",
            info.path,
            info.num_tracks,
            info.track,
            f" ({info.language})" if info.language else "",
        )
    if info.starts_s < -_SHORTEST_GAP_S:
        _log.warning(
            "%s: %.2f s of its sound come before its first picture and are not heard",
            info.path,
            -info.starts_s,
        )


class _Resampled:
    """One channel at another rate, of any length."""

    def __init__(self, info: AudioInfo, sample_rate_hz: int) -> None:
        self._from_hz, self._to_hz = info.sample_rate_hz, sample_rate_hz
        self._stream = soxr.ResampleStream(self._from_hz, self._to_hz, 1, "float32", "HQ")
        self._num_read = self._num_made = 0
        self._rows = scratch.Rows((), np.float32)

    def add(self, mono: FloatArray, path: Path) -> None:
        if not np.isfinite(mono).all():
            raise MediaError(f"{path}: the audio has NaN or infinite samples; export it again")
        self._num_read += len(mono)
        if self._from_hz != self._to_hz:
            mono = self._stream.resample_chunk(np.ascontiguousarray(mono))
        self._keep(mono)

    def finish(self) -> FloatArray:
        if self._from_hz != self._to_hz:
            rest = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
            self._keep(rest)
            wanted = -(-self._num_read * self._to_hz // self._from_hz)  # librosa rounds up
            self._keep(np.zeros(max(wanted - self._num_made, 0), np.float32))
            return self._rows.array()[:wanted]
        return self._rows.array()

    def _keep(self, mono: FloatArray) -> None:
        self._rows.add(mono)
        self._num_made += len(mono)
