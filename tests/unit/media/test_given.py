"""Media that are no files."""

from __future__ import annotations

import gc
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.media.given import Frames, Sound, as_file
from retalking.media.sound.audio import read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.video import VideoReader
from tests import media
from tests.e2e.jobs import read_frames


@pytest.mark.parametrize("rate_hz", [25, 29.97, Fraction(24000, 1001)])
def test_pictures_keep_every_bit_and_their_times(rate_hz: Fraction | float) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 33, 47, 3), dtype=np.uint8)
    given = as_file(Frames(iter(rgb), rate_hz))
    assert np.array_equal(read_frames(given.path), rgb)
    with VideoReader(given.path) as reader:
        assert float(reader.info.frame_rate) == pytest.approx(float(rate_hz), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_keep_every_bit(channels: int) -> None:
    samples = np.random.default_rng(0).standard_normal((channels, 3000)).astype(np.float32)
    given = as_file(Sound(samples if channels > 1 else samples[0], 11025))
    info = probe_audio(given.path)
    assert info.sample_rate_hz == 11025
    assert np.array_equal(np.concatenate(list(read_blocks(info)), axis=1), samples)


def test_what_was_written_goes_when_it_is_forgotten(tmp_path: Path) -> None:
    given = as_file(Sound(np.zeros(10), 8000))
    path = given.path
    assert path.is_file()
    del given
    gc.collect()
    assert not path.parent.exists()

    own = tmp_path / "own.wav"
    media.write_audio(own, media.tone(0.1))
    as_file(own)
    gc.collect()
    assert own.is_file()


def test_open_files_and_containers_lead_to_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a b.mp4"
    media.write_video(path, 4)
    data = path.read_bytes()
    assert as_file(io.BytesIO(data)).path.read_bytes() == data
    with path.open("rb") as file:
        file.read(7)
        assert as_file(file).path.read_bytes() == data
    with av.open(str(path)) as container:
        next(container.decode(video=0))
        assert as_file(container).path == path
    with av.open(io.BytesIO(data)) as container:
        next(container.decode(video=0))
        given = as_file(container)
        assert given.path.read_bytes() == data


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            Frames(np.zeros((2, 8, 8), np.uint8), 25),
            r"got uint8\[8, 8\], expected uint8\[H, W, 3\]",
        ),
        (Frames(np.zeros((2, 8, 8, 3)), 25), r"got float64\[8, 8, 3\]"),
        (Frames([], 25), "no picture"),
        (Frames(np.zeros((1, 8, 8, 3), np.uint8), 0), "more than 0"),
        (
            Frames([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)], 25),
            "picture 1 is 6x8, expected 8x8",
        ),
        (Sound(np.zeros(9, np.int16), 8000), r"got int16\[9\], expected float"),
        (Sound(np.zeros((3, 9)), 8000), r"got float64\[3, 9\]"),
        (17, "got a int, expected a path"),
    ],
)
def test_other_forms_are_refused_in_one_line(wrong: object, told: str) -> None:
    with pytest.raises(MediaError, match=told):
        as_file(wrong)  # type: ignore[arg-type]
