"""What cannot be written is told before work, and nothing is left half written."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError, MediaError
from retalking.media.output.encoding import EncoderOptions, check_output
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio_track import AudioTrack
from tests.media import tone, write_audio, write_video
from tests.unit.media.output.writing import LOSSLESS, even_pts, make_info, pictures, read_all


def test_output_replaces_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with VideoWriter(path, make_info()) as writer:
        writer.write(pictures(2), even_pts(2))
        assert path.read_text() == "old"
    assert len(read_all(path)[0]) == 2
    assert os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, MediaError])
def test_an_interruption_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    write_audio(tmp_path / "v.wav", tone(1.0))

    def interrupted() -> None:
        with VideoWriter(path, make_info(), audio=AudioTrack(tmp_path / "v.wav")) as writer:
            writer.write(pictures(3), even_pts(3))
            raise stop

    with pytest.raises(stop):
        interrupted()
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "v.wav"]
    assert path.read_text() == "old"


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Writing beyond 100 kB fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("count", [4, 60])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, count: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), dtype=np.uint8)
    path = tmp_path / "out.mkv"

    def fill() -> None:
        with VideoWriter(path, make_info(128, 128), LOSSLESS) as writer:
            for start in range(0, count, 4):
                writer.write(noise, even_pts(count)[start : start + 4])

    with pytest.raises(MediaError, match=r"out\.mkv: cannot be written: File too large"):
        fill()
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_is_told_before_work(tmp_path: Path) -> None:
    info = make_info()
    with pytest.raises(MediaError, match=r"the directory .*absent does not exist"):
        VideoWriter(tmp_path / "absent" / "out.mp4", info)
    with pytest.raises(ConfigError, match=r"unknown video suffix, expected one of \.mp4"):
        VideoWriter(tmp_path / "out.xyz", info)
    with pytest.raises(ConfigError, match=r"ffv1 does not go into \.mp4 files; use \.mkv or \.avi"):
        VideoWriter(tmp_path / "out.mp4", info, LOSSLESS)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="is a directory"):
        VideoWriter(tmp_path / "folder.mp4", info)
    source = tmp_path / "in.mp4"
    write_video(source, 2)
    (tmp_path / "link.mp4").symlink_to(source)
    for path in (source, tmp_path / "link.mp4"):
        with pytest.raises(ConfigError, match="is also an input"):
            VideoWriter(path, dataclasses.replace(info, path=source))
        with pytest.raises(ConfigError, match="is also an input"):
            VideoWriter(path, info, audio=AudioTrack(source))
    check_output(tmp_path / "OUT.MP4", EncoderOptions())


def test_a_read_only_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *args, **kwargs: False)
    with pytest.raises(MediaError, match="is not writable"):
        VideoWriter(tmp_path / "out.mp4", make_info())


def test_failures_while_opening_leave_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", 2)
    track = AudioTrack(tmp_path / "mute.mp4")
    with (
        pytest.raises(MediaError, match=r"mute\.mp4: has no audio stream"),
        VideoWriter(tmp_path / "out.mp4", make_info(), audio=track),
    ):
        pass
    with (
        pytest.raises(MediaError, match="no frame was given"),
        VideoWriter(tmp_path / "out.mp4", make_info()),
    ):
        pass
    with (
        pytest.raises(MediaError, match=r"out\.mp4: cannot be written"),
        VideoWriter(
            tmp_path / "out.mp4", make_info(37, 23), EncoderOptions(pixel_format="yuv420p")
        ) as writer,
    ):
        writer.write(pictures(3, 37, 23), even_pts(3))
    assert os.listdir(tmp_path) == ["mute.mp4"]


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"frames: got uint8\[2, 32, 64, 3\]"),
        VideoWriter(tmp_path / "out.mp4", make_info()) as writer,
    ):
        writer.write(pictures(2, 64, 32), even_pts(2))
    with (
        pytest.raises(ValueError, match="expected them to increase"),
        VideoWriter(tmp_path / "out.mp4", make_info()) as writer,
    ):
        writer.write(pictures(2), even_pts(2)[::-1])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"codec": "divx"}, "codec: got 'divx', expected libx264"),
        ({"crf": 52}, "crf: got 52, expected 0 to 51 for libx264"),
        ({"crf": -1}, "crf: got -1"),
        ({"pixel_format": "yuv999p"}, "pixel format: got 'yuv999p', expected one of yuv420p"),
        ({"preset": "turbo"}, "preset: got 'turbo', expected ultrafast"),
    ],
)
def test_bad_options_are_told(options: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        EncoderOptions(**options)  # type: ignore[arg-type]
