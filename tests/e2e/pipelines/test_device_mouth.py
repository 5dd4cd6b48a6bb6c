"""On a GPU, pictures go up once and come down once; shown on the CPU, where copies are counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.networks.device import Traffic
from retalking.networks.load import Parts
from tests import media
from tests.e2e.conftest import FRAMES, HEIGHT, WIDTH, portrait_frames

_NUMBERS_BYTES = 60_000
"""Of a frame: windows of coefficients and of the mel, rows of the mask, the mark's pattern."""
_SHOT_BYTES = 4 * (384**2 + 2 * 96**2)
"""Sent once for a shot: where the face is, and what says something about its tint."""


def test_a_frame_travels_once_each_way(still_parts: Parts, tmp_path: Path) -> None:
    clip, speech = tmp_path / "face.mp4", tmp_path / "speech.wav"
    media.write_video(clip, pictures=portrait_frames(FRAMES), width=WIDTH, height=HEIGHT)
    media.write_audio(speech, media.speech_like(FRAMES / 25))
    options = {"tmp_dir": str(tmp_path), "reference_source": "current", "batch_size": 2}
    config = load_profile("small", {**options, "length_policy": "video", "chunk_size": FRAMES})

    def dub(holds_pictures: bool) -> tuple[np.ndarray, np.ndarray, Traffic]:
        traffic = Traffic()
        runner = dataclasses.replace(
            still_parts.runner, holds_pictures=holds_pictures, traffic=traffic
        )
        retalker = Retalker(config, dataclasses.replace(still_parts, runner=runner))
        with retalker.prepare(clip) as scene:
            chunks = list(retalker.render(retalker.plan(scene, speech)))
        source = np.concatenate([chunk.source.rgb for chunk in chunks])
        return source, np.concatenate([chunk.output.rgb for chunk in chunks]), traffic

    source, expected, by_network = dub(holds_pictures=False)
    _, output, traffic = dub(holds_pictures=True)
    assert (expected != source).sum() > 20_000
    # The new face is a negative; its bands begin elsewhere where a part ends with the frame.
    difference = np.abs(output.astype(int) - expected)
    assert (difference > 1).mean() < 0.001
    assert difference.max() <= 4
    assert traffic.num_sent == 6 + 3  # of the chunk: the parts of the frames, five of numbers
    assert traffic.num_fetched == 2  # landmarks of the references, finished parts
    part_bytes = traffic.bytes_fetched / FRAMES - 68 * 3 * 4
    assert 0.3 * WIDTH * HEIGHT * 3 < part_bytes <= WIDTH * HEIGHT * 3
    numbers_bytes = (traffic.bytes_sent - _SHOT_BYTES) / FRAMES - part_bytes
    assert 0 < numbers_bytes < _NUMBERS_BYTES
    assert by_network.bytes_sent > 4 * traffic.bytes_sent
