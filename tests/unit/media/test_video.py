"""Frames come out upright, with true colours and exact times, the same however they are reached."""

from __future__ import annotations

import gc
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from retalking.media import video
from retalking.media.images import save_image
from retalking.media.video import VideoReader
from retalking.media.video_info import probe
from tests.media import moving_picture, write_video
from tests.unit.media.reading import error, read_all, read_order


def test_probe_describes_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "a talk.final.mp4"
    write_video(path, 6, width=48, height=32, rate=Fraction(30000, 1001), aspect=Fraction(4, 3))
    info = probe(path)
    assert (info.width_px, info.height_px, info.num_frames) == (48, 32, 6)
    assert info.frame_rate == Fraction(30000, 1001)
    assert info.sample_aspect_ratio == Fraction(4, 3)
    assert not info.is_image


@pytest.mark.parametrize("chunk_size", [1, 4, 100])
def test_chunk_size_changes_nothing(tmp_path: Path, chunk_size: int) -> None:
    path = tmp_path / "x.mp4"
    shown = write_video(path, 9)
    rgb, pts = read_all(path, chunk_size)
    assert error(rgb, np.stack(shown)) < 3
    np.testing.assert_array_equal(rgb, read_all(path, 3)[0])
    np.testing.assert_allclose(pts * float(probe(path).time_base), np.arange(9) / 25)


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"),
    [
        (".mkv", "libx264", "yuv420p"),
        (".webm", "libvpx-vp9", "yuv420p"),
        (".avi", "mpeg4", "yuv420p"),
        (".avi", "libx264", "yuv420p"),
        (".mov", "prores_ks", "yuv422p10le"),
        (".gif", "gif", "rgb8"),
        (".ts", "libx264", "yuv420p"),
        (".h264", "libx264", "yuv420p"),
        (".mpg", "mpeg2video", "yuv420p"),
        (".mkv", "ffv1", "bgr0"),
    ],
)
def test_containers_and_codecs(tmp_path: Path, suffix: str, codec: str, pixel_format: str) -> None:
    path = tmp_path / f"x{suffix}"
    shown = write_video(path, 30, codec=codec, pixel_format=pixel_format)
    rgb, pts = read_all(path)
    assert error(rgb, np.stack(shown)) < (0.001 if codec == "ffv1" else 20)
    seconds = (pts - pts[0]) * float(probe(path).time_base)
    np.testing.assert_allclose(seconds, np.arange(30) / 25, atol=0.002)
    order = [*range(30), *range(28, 0, -1), 0, 17, 3]
    np.testing.assert_array_equal(read_order(path, order, pts, 8), rgb[order])


@pytest.mark.parametrize("angle", [90, -90, 180])
def test_phone_rotation_is_applied(tmp_path: Path, angle: int) -> None:
    path = tmp_path / "phone.mp4"
    shown = write_video(path, 4, width=64, height=48, rotation_ccw_deg=angle, aspect=Fraction(3, 2))
    rgb, pts = read_all(path)
    upright = np.stack([np.rot90(picture, angle // 90) for picture in shown])
    assert rgb.shape == upright.shape
    assert error(rgb, upright) < 3
    with VideoReader(path) as reader:
        (part,) = reader.read_parts([2], pts, [(5, 9, 21, 30)])
    np.testing.assert_array_equal(part, rgb[2, 9:30, 5:21])
    info = probe(path)
    assert info.rotation_deg == -angle % 360
    assert info.sample_aspect_ratio == (Fraction(3, 2) if angle == 180 else Fraction(2, 3))


def test_mirrored_display_matrix(tmp_path: Path) -> None:
    path = tmp_path / "selfie.mp4"
    picture = moving_picture(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.set_display_rotation(90, hflip=True)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        stored = np.frombuffer(
            bytes(next(container.decode(video=0)).side_data["DISPLAYMATRIX"]), np.int32
        ).reshape(3, 3)
    # Independent check: send each stored corner through the matrix and see where it must appear.
    corners = np.array([[0, 0], [63, 0], [0, 63], [63, 63]])
    placed = corners @ np.sign(stored[:2, :2])
    placed -= placed.min(axis=0)
    shown = read_all(path)[0][0]
    for (x, y), (to_x, to_y) in zip(corners, placed, strict=True):
        assert np.abs(shown[to_y, to_x].astype(int) - picture[y, x]).max() < 12


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    pts = [0, 33, 66, 150, 151, 400, 433]
    write_video(path, 7, rate=Fraction(30), pts=pts, time_base=Fraction(1, 1000))
    got = read_all(path)[1] * float(probe(path).time_base) * 1000
    np.testing.assert_allclose(got, pts, atol=1e-6)


@pytest.mark.parametrize(("space", "kr", "kb"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114)])
@pytest.mark.parametrize("full", [False, True])
def test_colours_follow_the_tags(
    tmp_path: Path, space: int, kr: float, kb: float, full: bool
) -> None:
    """Planes computed here by the standard's formulas must decode to the colours they stand for."""
    path = tmp_path / "bars.mkv"
    colors = np.array([[230, 30, 30], [30, 220, 40], [40, 50, 210], [128, 128, 128]])
    r, g, b = (colors / 255).T
    luma = kr * r + (1 - kr - kb) * g + kb * b
    chroma = np.stack([(b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))])
    y = luma * 255 if full else 16 + luma * 219
    uv = 128 + chroma * (255 if full else 224)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 16, "yuv420p"
        stream.codec_context.colorspace = space
        stream.codec_context.color_range = 2 if full else 1
        planes = [np.repeat(y, 16)[None].repeat(16, 0)]
        planes += [np.repeat(plane, 8)[None].repeat(8, 0) for plane in uv]
        flat = np.concatenate([p.round().astype(np.uint8).ravel() for p in planes])
        frame = av.VideoFrame.from_ndarray(flat.reshape(24, 64), format="yuv420p")
        frame.colorspace, frame.color_range = space, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = read_all(path)[0][0]
    assert np.abs(shown[8, 8::16].astype(int) - colors).max() <= 3
    tags = probe(path).color
    assert (tags.space, tags.range) == (space, 2 if full else 1)


def test_ten_bits_are_told_and_become_eight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "deep.mov"
    shown = write_video(path, 2, codec="prores_ks", pixel_format="yuv422p10le")
    with caplog.at_level(logging.WARNING):
        rgb, _ = read_all(path)
    assert error(rgb, np.stack(shown)) < 3
    assert "more than 8 bits" in caplog.text


def test_any_order_gives_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 60, codec_options={"g": "12", "bf": "3"})
    rgb, pts = read_all(path)
    forward, backward = list(range(60)), list(range(58, 0, -1))
    seeks: list[int] = []
    decode = VideoReader._decode

    def counted(self: VideoReader, target: int | None = None):  # type: ignore[no-untyped-def]
        seeks.append(-1 if target is None else target)
        return decode(self, target)

    monkeypatch.setattr(VideoReader, "_decode", counted)
    monkeypatch.setattr(video, "REWIND_BYTES", 5 * 64 * 64 * 3 // 2)  # five frames
    for order in (
        forward + backward + forward[:9],
        [59] * 3 + [0] * 2 + [30, 31, 32, 30, 29, 28],
        np.random.default_rng(0).permutation(60).tolist(),
    ):
        for chunk_size in (1, 16, 500):
            np.testing.assert_array_equal(read_order(path, order, pts, chunk_size), rgb[order])
    assert max(seeks) > pts[40]  # turning back did not start from the beginning each time


def test_rewinding_holds_a_bounded_number_of_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 40, codec_options={"g": "40"})
    _, pts = read_all(path)
    monkeypatch.setattr(video, "REWIND_BYTES", 8 * 64 * 64 * 3 // 2)
    starts: list[int] = []
    numbered_from = VideoReader._numbered_from

    def spied(self: VideoReader, first: int, table: np.ndarray):  # type: ignore[no-untyped-def]
        starts.append(first)
        return numbered_from(self, first, table)

    monkeypatch.setattr(VideoReader, "_numbered_from", spied)
    read_order(path, list(range(39, -1, -1)), pts, 10)
    assert starts == [0, 31, 23, 15, 7, 0]


def test_open_groups_of_pictures_are_rewound_exactly(tmp_path: Path) -> None:
    path = tmp_path / "open.mkv"
    write_video(
        path,
        50,
        codec="libx265",
        codec_options={"x265-params": "log-level=none:keyint=10:open-gop=1:bframes=4"},
    )
    rgb, pts = read_all(path)
    order = list(range(49, -1, -1))
    np.testing.assert_array_equal(read_order(path, order, pts, 16), rgb[order])


def test_still_image_is_a_video_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg.png"
    picture = moving_picture(3, 33, 21)
    save_image(path, picture)
    with VideoReader(path, still_image_rate=Fraction(30)) as reader:
        info = reader.info
        assert info.is_image
        assert (info.width_px, info.height_px, info.num_frames) == (33, 21, 1)
        assert (info.frame_rate, info.time_base) == (30, Fraction(1, 30))
        (chunk,) = reader.read_chunks(16)
        np.testing.assert_array_equal(chunk.rgb, picture[None])
        chunks = list(reader.read_frames([0] * 5, chunk.pts, 2))
        assert [len(c) for c in chunks] == [2, 2, 1]
        chunks[0].rgb[:] = 0  # the picture itself stays
        np.testing.assert_array_equal(chunks[1].rgb, picture[None].repeat(2, 0))


def test_animated_image_is_a_video(tmp_path: Path) -> None:
    frames = [Image.fromarray(moving_picture(i)) for i in range(4)]
    path = tmp_path / "moves.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    rgb, pts = read_all(path)
    assert len(rgb) == 4
    np.testing.assert_allclose(np.diff(pts) * float(probe(path).time_base), 0.1)


def test_single_frame_and_odd_size(tmp_path: Path) -> None:
    path = tmp_path / "one.mkv"
    shown = write_video(path, 1, width=37, height=23, codec="ffv1", pixel_format="bgr0")
    rgb, pts = read_all(path)
    np.testing.assert_array_equal(rgb, np.stack(shown))
    np.testing.assert_array_equal(read_order(path, [0, 0, 0], pts, 2), rgb[[0, 0, 0]])


def test_decoded_frames_are_freed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 30, rotation_ccw_deg=90)
    gc.collect()
    gc.disable()
    try:
        rgb, _ = read_all(path)
        alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert len(rgb) == 30
    assert alive <= 4


@pytest.mark.shared
def test_real_clips_read_the_same_forward_and_backward(shared_dir: Path) -> None:
    paths = sorted((shared_dir / "clips" / "val").glob("*.mp4"))[::8]
    assert paths
    for path in paths:
        with VideoReader(path) as reader:
            first = [next(iter(reader.read_chunks(24)))]
        rgb, pts = first[0].rgb, first[0].pts
        order = list(range(len(pts) - 1, -1, -2))
        np.testing.assert_array_equal(read_order(path, order, pts, 5), rgb[order])
