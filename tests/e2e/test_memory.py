"""Memory does not grow with the length of the video, and is bounded for the largest pictures."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.locations import REPOSITORY
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.networks.load import Parts
from retalking.types import VideoInfo
from scripts.measure.hostile.seeds import SAMPLE, sample_frames
from tests import media
from tests.e2e.conftest import HEIGHT, WIDTH, portrait_frames

_JOB = """
import sys
from retalking.inference.cli import main
from retalking.timings import peak_memory_bytes
code = main(sys.argv[1:])
print(peak_memory_bytes())
sys.exit(code)
"""
"""A job that says its peak."""


def test_memory_is_bounded(still_parts: Parts, tmp_path: Path) -> None:
    """Networks take what they take per batch, whatever the length, so pictures pass unchanged here
    and only what the chain itself holds is measured.
    """

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


@pytest.mark.slow  # 30 s of a core
def test_a_face_that_fills_4096_px_takes_little_more_than_two_gigabytes(tmp_path: Path) -> None:
    """The largest pictures that H.264 players show took 4.1 GB, of which 0.6 are libraries.

    On two cores it is 2.05 GB now. How much waits between threads is a matter of who is faster, and
    other builds of the libraries take more or less: hence the room.
    """
    rate = Fraction(25)
    info = VideoInfo(tmp_path / "face.mp4", 4096, 4096, 0, 1 / rate, rate, 12)
    with VideoWriter(info.path, info, EncoderOptions(preset="ultrafast")) as writer:
        for number, rgb in enumerate(sample_frames(12, 448)):
            large = cv2.resize(rgb, (4096, 4096), interpolation=cv2.INTER_CUBIC)
            writer.write(large[None].astype(np.uint8), np.array([number]))
    job = ["--profile", "lite", "--face", str(info.path), "--audio", str(SAMPLE / "speech.wav")]
    job += ["--outfile", str(tmp_path / "out.mp4"), "--tmp-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-c", _JOB, *job, "--length-policy", "video"]
    told = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    peak = int(told.stdout.split()[-1])  # after a table of stages
    print(f"peak {peak / 1e6:.0f} MB")
    assert peak < 2.4e9
