"""Length, speech and time: what is heard when, and what an interrupted job keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.media.images import save_image
from retalking.media.sound.audio import load
from retalking.networks.load import Parts
from tests import media
from tests.e2e.conftest import (
    FRAMES,
    HEIGHT,
    portrait_frames,
)
from tests.e2e.jobs import Job, changed_rows, read_frames


def test_static_shows_the_first_frame_only(job: Job, clip: Path) -> None:
    still, source = job(static=True), read_frames(clip)
    assert len(still) == FRAMES
    upper = slice(0, HEIGHT // 4)
    assert all(np.array_equal(frame[upper], source[0][upper]) for frame in still)


def test_a_still_image_lasts_as_long_as_the_speech(job: Job, tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", portrait_frames(1)[0])
    assert len(job(face=tmp_path / "face.png", fps=50.0)) == 2 * FRAMES


def test_the_sync_offset_moves_the_mel_windows(job: Job, still_parts: Parts) -> None:
    job()
    usual = torch.cat(still_parts.enet.mels)
    still_parts.enet.mels.clear()
    job(sync_offset_ms=40.0)
    assert torch.equal(torch.cat(still_parts.enet.mels)[:-1], usual[1:])


def test_pauses_are_silent_to_the_networks(still_parts: Parts, tmp_path: Path, clip: Path) -> None:
    humming = np.concatenate([media.speech_like(0.4), 0.002 * media.tone(0.6)])
    media.write_audio(tmp_path / "speech.wav", humming)
    for gate in (True, False):
        still_parts.enet.mels.clear()
        settings = {"tmp_dir": str(tmp_path), "silence_gate": gate}
        Retalker(load_profile("small", settings), still_parts)(
            clip, tmp_path / "speech.wav", tmp_path / "out.mp4"
        )
        pause = torch.cat(still_parts.enet.mels)[16:20]
        assert (pause == -4).all() == gate


def test_places_are_smoothed_over_time_unless_told_not_to(job: Job, clip: Path) -> None:
    smooth, raw = job(), job(nosmooth=True)
    assert not np.array_equal(smooth, raw)
    np.testing.assert_allclose(smooth.mean(), raw.mean(), atol=1)
    source = read_frames(clip)
    assert abs(changed_rows(source, smooth)[1] - changed_rows(source, raw)[1]) < 5


def test_max_seconds_ends_the_job_early(job: Job, clip: Path) -> None:
    assert len(job(max_seconds=0.12)) == 3


def test_the_sound_is_the_given_file(job: Job, tmp_path: Path, speech: Path) -> None:
    job(sound="copy")
    dubbed, given = load(tmp_path / "out.mkv"), load(speech)
    count = min(len(dubbed.samples), len(given.samples))
    np.testing.assert_allclose(dubbed.samples[:count], given.samples[:count], atol=1e-3)


def test_an_interrupted_job_goes_on(job: Job, still_parts: Parts, tmp_path: Path) -> None:
    whole = job(chunk_size=2)
    network = still_parts.enet
    num_frames = len(network.mels)

    class Interrupted(type(network)):  # type: ignore[misc]
        def forward(self, *inputs: torch.Tensor, **_: bool) -> object:
            if len(self.mels) == 5:
                raise KeyboardInterrupt
            return super().forward(*inputs)

    (tmp_path / "out.mkv").unlink()
    with pytest.raises(KeyboardInterrupt):
        job(dataclasses.replace(still_parts, enet=Interrupted()), chunk_size=2)
    assert not (tmp_path / "out.mkv").exists()
    network.mels.clear()
    assert np.array_equal(job(chunk_size=2), whole)
    assert len(network.mels) == num_frames - 4
    assert list((tmp_path / "cache" / "jobs").iterdir()) == []
