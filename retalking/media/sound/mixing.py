"""Several sounds at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.media.sound.audio import read_blocks
from retalking.media.sound.audio_info import AudioInfo, probe_audio
from retalking.media.sound.downmix import mix, stereo_weights
from retalking.media.sound.wav import write_wav
from retalking.types import FloatArray

_BLOCK_S = 1.0


def mix_files(paths: Sequence[Path], outfile: Path) -> None:
    """Add the sounds of files up, each from its own beginning.

    At the highest of their rates, in stereo if one of them has more than one channel, and as loud
    as they are; only if the sum would be clipped, all of it is made softer.

    Args:
        paths: of files with sound.
        outfile: WAV file of 32-bit floats.

    Raises:
        MediaError: a file cannot be read or has no sound.
    """
    infos = [probe_audio(path) for path in paths]
    rate_hz = max(info.sample_rate_hz for info in infos)
    channels = 2 if any(info.num_channels > 1 for info in infos) else 1
    peak = max((float(np.abs(block).max()) for block in _sums(infos, rate_hz, channels)), default=0)
    gain = np.float32(1 / max(peak, 1.0))
    loud = (gain * block for block in _sums(infos, rate_hz, channels))
    write_wav(outfile, loud, rate_hz, channels)


def _sums(infos: Sequence[AudioInfo], rate_hz: int, channels: int) -> Iterator[FloatArray]:
    """Yield blocks ``[C, N]`` of the sum; sounds that have ended are silent."""
    size = round(_BLOCK_S * rate_hz)
    voices = [_even_blocks(_resampled(info, rate_hz, channels), size) for info in infos]
    while True:
        blocks = [block for voice in voices if (block := next(voice, None)) is not None]
        if not blocks:
            return
        total = np.zeros((channels, max(block.shape[1] for block in blocks)), np.float32)
        for block in blocks:
            total[:, : block.shape[1]] += block
        yield total


def _resampled(info: AudioInfo, rate_hz: int, channels: int) -> Iterator[FloatArray]:
    stream = soxr.ResampleStream(info.sample_rate_hz, rate_hz, channels, "float32", "HQ")
    if info.num_channels > 2:
        weights = stereo_weights(info.channels)
    else:  # of two channels few files say which is left
        weights = np.ones((channels, 1)) if info.num_channels == 1 else np.eye(2)
    for block in read_blocks(info):
        mixed = mix(weights, block)
        if rate_hz == info.sample_rate_hz:
            yield mixed
        else:
            yield _turned(stream.resample_chunk(_turned(mixed, channels)), channels)
    if rate_hz != info.sample_rate_hz:
        rest = _turned(np.zeros((channels, 0), np.float32), channels)
        yield _turned(stream.resample_chunk(rest, last=True), channels)


def _turned(block: FloatArray, channels: int) -> FloatArray:
    """Swap ``[C, N]`` and what soxr reads and writes: ``[N, C]``, or ``[N]`` of one channel."""
    if channels == 1:
        return block[None] if block.ndim == 1 else block[0]
    return np.ascontiguousarray(block.T)


def _even_blocks(blocks: Iterator[FloatArray], size: int) -> Iterator[FloatArray]:
    """Yield blocks of one size; the last may be shorter."""
    held: list[FloatArray] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        if count >= size:
            joined = np.concatenate(held, axis=1)
            full = count // size * size
            yield from np.split(joined[:, :full], full // size, axis=1)
            held, count = [joined[:, full:]], count - full
    if count:
        yield np.concatenate(held, axis=1)
