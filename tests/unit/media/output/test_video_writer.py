"""What is written is what was given: pixels, times, colours and sound, or no file at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.errors import ConfigError
from retalking.media.images import save_image
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.video import VideoReader
from retalking.media.video_info import probe
from retalking.types import ColorTags, HdrMetadata
from tests.media import moving_picture, tone, write_audio, write_video
from tests.unit.media.output.writing import LOSSLESS, even_pts, make_info, pictures, read_all
from tests.unit.media.reading import error


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
@pytest.mark.parametrize("width", [64, 37])
def test_ffv1_keeps_every_bit(tmp_path: Path, suffix: str, width: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 23, width, 3), dtype=np.uint8)
    path = tmp_path / f"out{suffix}"
    for tags in (ColorTags(), ColorTags(1, 1, 1, 1), ColorTags(2, 6, 6, 6)):
        info = make_info(width, 23, color=tags)
        with VideoWriter(path, info, LOSSLESS) as writer:
            writer.write(rgb[:2], even_pts(2))
            writer.write(rgb[2:], even_pts(5)[2:])
        np.testing.assert_array_equal(read_all(path)[0], rgb)


def test_x264rgb_with_crf_0_keeps_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    options = EncoderOptions(codec="libx264rgb", crf=0, preset="ultrafast")
    with VideoWriter(path, make_info(), options) as writer:
        writer.write(pictures(4), even_pts(4))
    np.testing.assert_array_equal(read_all(path)[0], pictures(4))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("libx264", ".mov"),
        ("libx264", ".mkv"),
        ("libx264", ".avi"),
        ("libx265", ".mp4"),
        ("libvpx-vp9", ".webm"),
        ("libvpx-vp9", ".mp4"),
    ],
)
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_rate_size_and_times_survive(
    tmp_path: Path, codec: str, suffix: str, rate: Fraction
) -> None:
    path = tmp_path / f"a file.v1{suffix}"
    info = make_info(rate=rate, time_base=Fraction(1, 30000))
    pts = even_pts(12, int(30000 / rate))
    with VideoWriter(path, info, EncoderOptions(codec, crf=10, preset="veryfast")) as writer:
        writer.write(pictures(12), pts)
    rgb, seconds = read_all(path)
    assert error(rgb, pictures(12)) < 3
    # Matroska and WebM count milliseconds.
    np.testing.assert_allclose(
        seconds, pts / 30000, atol=0.0006 if suffix in (".mkv", ".webm") else 1e-9
    )
    assert probe(path).frame_rate == rate
    with av.open(str(path)) as container:
        assert abs(container.duration / 1e6 - 12 / float(rate)) < 0.002


def test_variable_frame_rate_survives(tmp_path: Path) -> None:
    stamps = np.array([0, 500, 1700, 1701, 9000, 9400], dtype=np.int64)
    info = make_info(time_base=Fraction(1, 12800))
    path = tmp_path / "out.mp4"
    with VideoWriter(path, info, end_pts=12800) as writer:
        writer.write(pictures(6), stamps)
    np.testing.assert_allclose(read_all(path)[1], stamps / 12800, atol=1e-9)
    with av.open(str(path)) as container:
        assert container.duration == 1_000_000
    with (
        pytest.raises(ConfigError, match=r"\.avi cannot hold this variable frame rate; use \.mkv"),
        VideoWriter(tmp_path / "out.avi", info) as writer,
    ):
        writer.write(pictures(6), stamps)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_odd_sizes_survive(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "odd.mp4"
    rgb = pictures(3, 67, 45)
    with VideoWriter(path, make_info(67, 45), EncoderOptions(codec, crf=8)) as writer:
        writer.write(rgb, even_pts(3))
    got, _ = read_all(path)
    assert got.shape == rgb.shape
    assert error(got, rgb) < 4


def test_a_single_frame_and_still_images(tmp_path: Path) -> None:
    save_image(tmp_path / "photo.png", moving_picture(0))
    with VideoReader(tmp_path / "photo.png", Fraction(30)) as reader:
        info, (chunk,) = reader.info, list(reader.read_chunks(4))
    with VideoWriter(tmp_path / "out.mp4", info) as writer:
        writer.write(chunk.rgb, chunk.pts)
    rgb, _ = read_all(tmp_path / "out.mp4")
    assert error(rgb, chunk.rgb) < 3
    tags = probe(tmp_path / "out.mp4").color
    assert tags == ColorTags(1, 1, 1, 1)


@pytest.mark.parametrize(
    "tags",
    [
        ColorTags(),
        ColorTags(range=1, primaries=1, transfer=1, space=1),
        ColorTags(range=2, primaries=1, transfer=13, space=1),
        ColorTags(range=1, primaries=6, transfer=6, space=6),
        ColorTags(range=2, primaries=5, transfer=6, space=5),
        ColorTags(range=1, primaries=9, transfer=14, space=9),
    ],
)
@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("libvpx-vp9", ".mkv")])
def test_colours_survive_with_their_tags(
    tmp_path: Path, tags: ColorTags, codec: str, suffix: str
) -> None:
    colors = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 200], [250, 250, 5]], np.uint8)
    rgb = np.kron(colors.reshape(2, 2, 3), np.ones((32, 32, 1), np.uint8))[None]
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, make_info(color=tags), EncoderOptions(codec, crf=1)) as writer:
        writer.write(rgb, even_pts(1))
    shown = read_all(path)[0][0]
    assert np.abs(shown[16::32, 16::32].astype(int) - rgb[0, 16::32, 16::32]).max() <= 4
    got = probe(path).color
    # VP9 itself stores matrix and range only, and one code for BT.601.
    same_matrix = {5, 6}
    assert got.space == tags.space or {got.space, tags.space} <= same_matrix
    assert got.range == (tags.range if codec == "libx264" else got.range)
    assert (got.range == 2) == (tags.range == 2)


def test_rgb_sources_become_tagged_bt709(tmp_path: Path) -> None:
    source = ColorTags(range=2, space=0)
    with VideoWriter(tmp_path / "out.mp4", make_info(color=source)) as writer:
        writer.write(pictures(2), even_pts(2))
    assert probe(tmp_path / "out.mp4").color == ColorTags(1, 1, 1, 1)
    assert error(read_all(tmp_path / "out.mp4")[0], pictures(2)) < 3


@pytest.mark.parametrize("space", [1, 2, 6])
@pytest.mark.parametrize("full", [False, True])
def test_decoding_and_encoding_drifts_by_no_more_than_rounding(
    tmp_path: Path, space: int, full: bool
) -> None:
    """Untouched pixels keep their Y, U and V: 4:2:0 -> RGB -> 4:2:0 is nearly the identity."""
    path = tmp_path / "in.mp4"
    write_video(path, 3, space=space, color_range=2 if full else 1, codec_options={"crf": "12"})
    with VideoReader(path) as reader:
        (chunk,) = reader.read_chunks(3)
        info = reader.info
    lossless = EncoderOptions(codec="libx264", crf=0, preset="ultrafast")
    with VideoWriter(tmp_path / "out.mp4", info, lossless) as writer:
        writer.write(chunk.rgb, chunk.pts)
    planes = []
    for name in ("in.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            frames = [f.reformat(format="yuv420p") for f in container.decode(video=0)]
            planes.append(np.stack([f.to_ndarray() for f in frames]).astype(int))
    drift = np.abs(planes[0] - planes[1])
    # In full range two levels of chroma may become one of RGB; in limited range none do.
    assert drift.mean() < (0.3 if full else 0.02)
    assert drift.max() <= 1


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".mp4", "libx265"), (".mkv", "libx265")]
)
def test_hdr_metadata_survives(tmp_path: Path, suffix: str, codec: str) -> None:
    display = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 50, 10_000_000)
    hdr = HdrMetadata(display, (1000, 400))
    info = make_info(color=ColorTags(1, 9, 16, 9, hdr))
    with VideoWriter(tmp_path / f"out{suffix}", info, EncoderOptions(codec)) as writer:
        writer.write(pictures(5), even_pts(5))
    assert probe(tmp_path / f"out{suffix}").color == info.color


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mov", "libx265"),
        (".mkv", "libx264"),
        (".mkv", "ffv1"),
        (".webm", "libvpx-vp9"),
        (".avi", "libx264"),
    ],
)
@pytest.mark.parametrize("shape", [Fraction(4, 3), Fraction(64, 45), Fraction(10, 11)])
def test_pixel_shape_survives(tmp_path: Path, suffix: str, codec: str, shape: Fraction) -> None:
    path = tmp_path / f"out{suffix}"
    write_audio(tmp_path / "voice.wav", tone(0.2))
    info = make_info(64 * 9, 64, sample_aspect_ratio=shape)
    with VideoWriter(path, info, EncoderOptions(codec), AudioTrack(tmp_path / "voice.wav")) as w:
        w.write(pictures(2, 64 * 9), even_pts(2))
    # Matroska knows only whole pixels of the displayed size.
    assert float(probe(path).sample_aspect_ratio) == pytest.approx(float(shape), rel=0.002)
    assert len(read_all(path)[0]) == 2
    with av.open(str(path)) as container:
        assert container.streams.video[0].metadata.get("title") is None
