"""Sound into a file of our own, without loss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from retalking.types import FloatArray


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
            packed = np.ascontiguousarray(block.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate = sample_rate_hz
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
