"""Sound into a file of our own, without loss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from retalking.files import replacing
from retalking.types import AudioClip, FloatArray


def write_clip(path: Path, clip: AudioClip) -> None:
    """Write sound as a WAV file, which appears when it is complete.

    Raises:
        MediaError: it cannot be written.
    """
    with replacing(path) as partial:
        write_wav(partial, [clip.samples[None]], clip.sample_rate_hz, 1)


def write_wav(path: Path, blocks: Iterable[FloatArray], sample_rate_hz: int, channels: int) -> None:
    """Write a WAV file of 32-bit floats.

    Args:
        path: of the file.
        blocks: float32 ``[C, N]`` each.
        sample_rate_hz: of the samples.
        channels: 1 or 2.
    """
    layout = ("mono", "stereo")[channels - 1]
    with av.open(f"file:{path}", "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=sample_rate_hz, layout=layout)
        for block in blocks:
            if not block.size:
                continue
            packed = np.ascontiguousarray(block.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate = sample_rate_hz
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
