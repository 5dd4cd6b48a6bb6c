"""Title, chapters, subtitles and languages go over; what does not is named."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.media.output.extras import Extras, Passage, Subtitles, plain_text, read_extras
from retalking.media.output.video_writer import EncoderOptions, VideoWriter
from retalking.media.video import VideoReader
from tests.media import write_video

EXTRAS = Extras(
    tags={"title": "A talk: über Öl", "artist": "Someone"},
    chapters=(Passage(0.0, 0.4, "first"), Passage(0.4, 1.0, "second")),
    subtitles=(
        Subtitles("fra", (Passage(0.1, 0.3, "Bonjour à tous"), Passage(0.5, 0.9, "two\nlines"))),
        Subtitles("eng", (Passage(0.2, 0.6, "Guten Tag"),)),
    ),
)


def write_with(path: Path, extras: Extras, folder: Path) -> None:
    write_video(folder / "source.mp4", 25)
    options = EncoderOptions("libvpx-vp9" if path.suffix == ".webm" else "libx264")
    with (
        VideoReader(folder / "source.mp4") as reader,
        VideoWriter(path, reader.info, options, extras=extras) as writer,
    ):
        for chunk in reader.read_chunks(25):
            writer.write(chunk.rgb, chunk.pts)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_extras_survive(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_with(path, EXTRAS, tmp_path)
    found = read_extras(path)
    kept = ("title",) if suffix == ".mov" else ("title", "artist")
    assert {name: found.tags[name] for name in kept} == {name: EXTRAS.tags[name] for name in kept}
    assert found.chapters == EXTRAS.chapters
    assert found.subtitles == EXTRAS.subtitles
    with VideoReader(path) as reader:
        assert sum(len(chunk) for chunk in reader.read_chunks(8)) == 25


def test_a_second_generation_is_like_the_first(tmp_path: Path) -> None:
    write_with(tmp_path / "first.mkv", EXTRAS, tmp_path)
    write_with(tmp_path / "second.mp4", read_extras(tmp_path / "first.mkv"), tmp_path)
    assert read_extras(tmp_path / "second.mp4").subtitles == EXTRAS.subtitles


def test_what_avi_cannot_hold_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        write_with(tmp_path / "out.avi", EXTRAS, tmp_path)
    assert "not carried over: chapters, subtitles" in caplog.text
    assert read_extras(tmp_path / "out.avi").tags["title"] == EXTRAS.tags["title"]


def test_what_is_lost_is_named(tmp_path: Path) -> None:
    path = tmp_path / "phone.mov"
    with av.open(str(path), "w") as container:
        container.metadata["location"] = "+01.0000+002.0000/"
        container.metadata["creation_time"] = "2026-01-01T00:00:00Z"
        video = container.add_stream("qtrle", rate=25)
        video.width = video.height = 16
        video.pix_fmt = "argb"
        sounds = [container.add_stream("aac", rate=16000, layout="mono") for _ in range(2)]
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 4), np.uint8), "argb")
        frame.pts = 0
        container.mux([*video.encode(frame), *video.encode(None)])
        for sound in sounds:
            block = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.float32), "fltp", "mono")
            block.sample_rate, block.pts = 16000, 0
            container.mux([*sound.encode(block), *sound.encode(None)])
    assert read_extras(path).lost == (
        "the place (GPS)",
        "the time of recording",
        "further audio tracks",
        "transparency",
    )


def test_the_end_of_the_output_cuts_them() -> None:
    short = EXTRAS.until(0.5)
    assert short.chapters == (Passage(0.0, 0.4, "first"), Passage(0.4, 0.5, "second"))
    assert [len(track.passages) for track in short.subtitles] == [1, 1]
    assert EXTRAS.until(0.0).chapters == ()


@pytest.mark.parametrize(
    ("codec", "data", "expected"),
    [
        ("mov_text", b"\x00\x05Hello\x00\x00\x00\x0cstyl", "Hello"),
        ("mov_text", b"\x00\x00", ""),
        ("ass", rb"0,0,Default,,0,0,0,,{\i1}One,{\i0}\Ntwo", "One,\ntwo"),
        ("subrip", "é\xff".encode("latin1"), "\ufffd\ufffd"),
    ],
)
def test_text_of_any_format(codec: str, data: bytes, expected: str) -> None:
    assert plain_text(codec, data) == expected


def test_times_count_from_the_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    write_video(path, 5, pts=[500, 540, 580, 620, 660], time_base=Fraction(1, 1000))
    with av.open(str(path)) as source, av.open(str(tmp_path / "chapters.mkv"), "w") as target:
        target.set_chapters(
            [{"id": 1, "start": 540, "end": 700, "time_base": Fraction(1, 1000), "metadata": {}}]
        )
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.stream = stream
                target.mux(packet)
    (chapter,) = read_extras(tmp_path / "chapters.mkv").chapters
    assert chapter.start_s == pytest.approx(0.04)
