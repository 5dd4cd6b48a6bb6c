"""The video after the user's restrictions."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError
from retalking.media.colors import DecodedChunk
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.types import FrameChunk
from tests.media import write_video

BOXES = [(3, 5, 20, 31), (30, -4, 70, 9), (10, 20, 11, 21), (60, 0, 70, 5)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "talk.mkv"
    write_video(path, 12, width=52, height=38, codec="ffv1", pixel_format="bgr0")
    return path


@pytest.fixture
def reader(video: Path) -> Iterator[VideoReader]:
    with VideoReader(video) as opened:
        yield opened


def frames_of(source: Source, chunk_size: int) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(source.read_all(chunk_size))
    assert [chunk.start for chunk in chunks] == list(
        np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1]
    )
    return np.concatenate([c.rgb for c in chunks]), np.concatenate([c.pts for c in chunks])


@pytest.mark.parametrize("chunk_size", [1, 5, 16])
def test_without_restrictions_it_is_the_video(reader: VideoReader, chunk_size: int) -> None:
    source = Source(reader)
    assert source.info == reader.info
    rgb, pts = frames_of(source, chunk_size)
    assert rgb.shape == (12, 38, 52, 3)
    np.testing.assert_array_equal(pts, np.arange(12) * 40)


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        ((3, 30, 4, 51), slice(3, 30), slice(4, 51)),
        ((5, -1, 7, -1), slice(5, 38), slice(7, 52)),
        ((0, 38, 0, 52), slice(0, 38), slice(0, 52)),
        ((37, -1, 51, -1), slice(37, 38), slice(51, 52)),
    ],
)
def test_a_region_is_cut_out(
    reader: VideoReader, crop: tuple[int, int, int, int], rows: slice, columns: slice
) -> None:
    whole, pts = frames_of(Source(reader), 16)
    source = Source(reader, crop)
    rgb, _ = frames_of(source, 5)
    np.testing.assert_array_equal(rgb, whole[:, rows, columns])
    assert rgb.shape[1:3] == (source.info.height_px, source.info.width_px)
    assert rgb.flags.c_contiguous
    (chunk,) = source.read_frames(np.array([11, 0, 4, 4]), pts, 8)
    np.testing.assert_array_equal(chunk.rgb, whole[[11, 0, 4, 4], rows, columns])
    np.testing.assert_array_equal(chunk.pts, pts[[11, 0, 4, 4]])
    height, width = rgb.shape[1:3]
    parts = [(0, 0, width, height), (width // 2, height // 3, width, height)]
    first, second = source.read_parts(np.array([7, 2]), pts, parts)
    np.testing.assert_array_equal(first, rgb[7])
    np.testing.assert_array_equal(second, rgb[2, height // 3 :, width // 2 :])


@pytest.mark.parametrize("rotate_deg", [0, 90, 180, 270])
def test_a_video_is_turned_clockwise(reader: VideoReader, rotate_deg: int) -> None:
    whole, pts = frames_of(Source(reader), 16)
    upright = np.stack([np.rot90(frame, -rotate_deg // 90) for frame in whole])[:, 3:30, 4:-2]
    source = Source(reader, (3, 30, 4, upright.shape[2] + 4), rotate_deg=rotate_deg)
    rgb, _ = frames_of(source, 5)
    np.testing.assert_array_equal(rgb, upright)
    assert rgb.shape[1:3] == (source.info.height_px, source.info.width_px)
    (chunk,) = source.read_frames(np.array([11, 2]), pts, 8)
    np.testing.assert_array_equal(chunk.rgb, upright[[11, 2]])
    (part,) = source.read_parts(np.array([7]), pts, [(5, 2, 20, 24)])
    np.testing.assert_array_equal(part, upright[7, 2:24, 5:20])


def test_turned_pixels_keep_their_shape(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 2, aspect=Fraction(4, 3))
    with VideoReader(tmp_path / "a.mkv") as wide:
        shapes = [Source(wide, rotate_deg=d).info.sample_aspect_ratio for d in (0, 90, 180, 270)]
    assert shapes == [Fraction(4, 3), Fraction(3, 4), Fraction(4, 3), Fraction(3, 4)]


@pytest.mark.parametrize(
    "crop", [(10, 10, 0, -1), (20, 10, 0, -1), (0, 39, 0, -1), (0, -1, 0, 53), (-1, -1, 0, -1)]
)
def test_a_region_that_is_none_is_refused(
    reader: VideoReader, crop: tuple[int, int, int, int]
) -> None:
    got = " ".join(map(str, crop))
    with pytest.raises(ConfigError, match=f"--crop: got {got}, expected top < .* 52x38 px"):
        Source(reader, crop)


@pytest.mark.parametrize("chunk_size", [1, 4, 5, 16])
@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"max_frames": 1}, 1),
        ({"max_frames": 8}, 8),
        ({"max_frames": 99}, 12),
        ({"max_seconds": 1e-6}, 1),
        ({"max_seconds": 0.2}, 5),
        ({"max_seconds": 0.201}, 6),
        ({"max_seconds": 9.0}, 12),
        ({"max_frames": 3, "max_seconds": 0.2}, 3),
        ({"max_frames": 7, "max_seconds": 0.2}, 5),
    ],
)
def test_limits_stop_the_reading(
    reader: VideoReader, limits: dict[str, float], count: int, chunk_size: int
) -> None:
    rgb, pts = frames_of(Source(reader, **limits), chunk_size)  # type: ignore[arg-type]
    assert len(rgb) == count
    np.testing.assert_array_equal(pts, np.arange(count) * 40)


def test_the_time_limit_counts_from_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    write_video(
        path,
        6,
        codec="ffv1",
        pixel_format="bgr0",
        pts=[5000, 5040, 5120, 5130, 5200, 5300],
        time_base=Fraction(1, 1000),
    )
    with VideoReader(path) as reader:
        _, pts = frames_of(Source(reader, max_seconds=0.13), 4)
    np.testing.assert_array_equal(pts - pts[0], [0, 40, 120])


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize(
    ("codec", "pixel_format", "rotation_ccw_deg"),
    [
        ("libx264", "yuv420p", 0),
        ("libx264", "yuv420p", 90),
        ("libx264", "yuv422p", 0),
        ("libx264", "yuv444p", 0),
        ("libx264", "yuv420p10le", 0),
        ("ffv1", "bgr0", 0),
        ("ffv1", "gray", 0),
        ("ffv1", "yuv410p", 0),
    ],
)
def test_every_way_of_looking_shows_the_same_pixels(
    tmp_path: Path, codec: str, pixel_format: str, rotation_ccw_deg: int, every: int
) -> None:
    path = tmp_path / ("a.mp4" if rotation_ccw_deg else "a.mkv")
    write_video(
        path,
        5,
        width=52,
        height=38,
        codec=codec,
        pixel_format=pixel_format,
        rotation_ccw_deg=rotation_ccw_deg,
    )
    with VideoReader(path) as reader:
        (whole,) = reader.read_chunks(8)
        chunks = list(reader.read_pictures(2, every))
    assert [chunk.start for chunk in chunks] == [0, 2, 4]
    np.testing.assert_array_equal(np.concatenate([chunk.pts for chunk in chunks]), whole.pts)
    pictures = [picture for chunk in chunks for picture in chunk.pictures]
    for rgb, picture in zip(whole.rgb, pictures, strict=True):
        np.testing.assert_array_equal(picture.thinned, rgb[::every, ::every])
        parts = picture.parts(BOXES)
        assert parts.shape == rgb.shape
        for x1, y1, x2, y2 in BOXES:
            box = slice(max(y1, 0), y2), slice(x1, x2)
            np.testing.assert_array_equal(parts[box], rgb[box])
        np.testing.assert_array_equal(picture.whole(), rgb)


def test_the_limits_of_a_source_hold_for_pictures(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 12)
    with VideoReader(tmp_path / "a.mkv") as reader:
        chunks = list(Source(reader, max_frames=9, max_seconds=0.28).read_pictures(5, 2))
        assert all(isinstance(chunk, DecodedChunk) for chunk in chunks)
        assert [len(chunk) for chunk in chunks] == [5, 2]
        np.testing.assert_array_equal(chunks[1].pts, 200 + 40 * np.arange(2))
        restricted = list(Source(reader, crop=(1, -1, 0, -1), max_frames=7).read_pictures(5, 2))
        assert all(isinstance(chunk, FrameChunk) for chunk in restricted)
        assert [len(chunk) for chunk in restricted] == [5, 2]
