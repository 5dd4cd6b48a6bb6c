"""Memory does not grow with the length of the video.

Networks take what they take per batch, whatever the length, so pictures pass through unchanged here
and only what the chain itself holds is measured.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.networks.load import Parts
from tests import media
from tests.e2e.conftest import HEIGHT, WIDTH, portrait_frames


def test_memory_is_bounded(still_parts: Parts, tmp_path: Path) -> None:
    def peak_bytes(seconds: int) -> int:
        clip, speech = tmp_path / f"{seconds}.mp4", tmp_path / f"{seconds}.wav"
        pictures = portrait_frames(25) * seconds
        media.write_video(clip, pictures=pictures, width=WIDTH, height=HEIGHT)
        media.write_audio(speech, media.speech_like(seconds))
        options = {"tmp_dir": str(tmp_path), "chunk_size": 4}  # soon all queues are full
        retalker = Retalker(load_profile("small", options), still_parts)
        del pictures
        tracemalloc.start()
        retalker(clip, speech, tmp_path / "out.mp4")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(1)  # what is allocated once stays out of the comparison
    frame_bytes = WIDTH * HEIGHT * 3
    assert peak_bytes(6) - peak_bytes(2) < 0.15 * 4 * 25 * frame_bytes
