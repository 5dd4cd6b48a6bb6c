"""Videos as people's devices and programs make them: the right stream, rate and frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from retalking.errors import MediaError
from retalking.media import video
from retalking.media.images import load_image
from retalking.media.memory import waiting_chunks
from retalking.media.output.encoding import EncoderOptions
from retalking.media.video import VideoReader
from retalking.media.video_info import probe
from tests.media import moving_picture, write_video


def read_both_ways(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All frames in order, and the same frames fetched from the last to the first."""
    with VideoReader(path) as reader:
        chunks = list(reader.read_chunks(8))
        pts = np.concatenate([chunk.pts for chunk in chunks])
        order = np.arange(len(pts))[::-1]
        back = [chunk.rgb for chunk in reader.read_frames(order, pts, 8)]
    return np.concatenate([chunk.rgb for chunk in chunks]), np.concatenate(back)[::-1]


@pytest.mark.parametrize(
    ("stamps_ms", "expected"),
    [
        # 25 a second with a gap of half a second, as browsers record
        ([*range(0, 400, 40), *range(900, 1400, 40)], Fraction(25)),
        # 30 a second rounded to milliseconds, frames lost here and there
        ([round(i * 1000 / 30) for i in range(120) if i % 23 != 5], Fraction(30)),
        ([round(i * 1001 / 30) for i in range(90)], Fraction(30000, 1001)),
        # jitter of a busy machine
        ([40 * i + (i * 7) % 11 for i in range(50)], Fraction(25)),
        ([0, 10, 1000], None),
    ],
)
@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_the_frame_rate_is_that_of_most_frames(
    tmp_path: Path, stamps_ms: Sequence[int], expected: Fraction | None, codec: str
) -> None:
    path = tmp_path / "recording.webm"
    picture = np.full((32, 32, 3), 90, np.uint8)
    write_video(
        path,
        pts=stamps_ms,
        time_base=Fraction(1, 1000),
        rate=Fraction(1000),
        codec=codec,
        pictures=[picture] * len(stamps_ms),
        codec_options={"deadline": "realtime", "cpu-used": "8"},
    )
    rate = probe(path).frame_rate
    if expected is None:
        assert rate <= 120
    else:
        assert rate == expected


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(7, 2), Fraction(1)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_rate_that_is_told_is_kept(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    write_video(tmp_path / f"clip{suffix}", 12, rate=rate)
    assert probe(tmp_path / f"clip{suffix}").frame_rate == rate


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".h264", "libx264"), (".hevc", "libx265"), (".m2v", "mpeg2video")]
)
def test_raw_streams_play_backward(tmp_path: Path, suffix: str, codec: str) -> None:
    quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    write_video(tmp_path / f"raw{suffix}", 20, codec=codec, codec_options={"g": "5", **quiet})
    forward, backward = read_both_ways(tmp_path / f"raw{suffix}")
    assert len(forward) == 20
    np.testing.assert_array_equal(forward, backward)


def test_palettes_survive_playing_backward(tmp_path: Path) -> None:
    """AVI stores a palette once; a decoder that seeks shows black."""
    path = tmp_path / "old.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "pal8"
        palette = np.zeros((256, 4), np.uint8)
        palette[:, :3] = np.arange(256)[:, None]
        palette[:, 3] = 255
        for index in range(20):
            frame = av.VideoFrame(32, 32, "pal8")
            frame.planes[0].update(np.full((32, 32), 60 + 5 * index, np.uint8).tobytes())
            frame.planes[1].update(palette.tobytes())
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    forward, backward = read_both_ways(path)
    assert np.abs(forward[:, 0, 0, 0].astype(int) - (60 + 5 * np.arange(20))).max() <= 1
    np.testing.assert_array_equal(forward, backward)


@pytest.mark.parametrize("chosen", [1, None])
def test_a_thumbnail_is_not_the_video(tmp_path: Path, chosen: int | None) -> None:
    """The default stream is shown, or the largest where no stream is the default one."""
    path = tmp_path / "talk.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for number, (name, side) in enumerate((("mjpeg", 32), ("libx264", 64))):
            stream = container.add_stream(name, rate=25)
            stream.width = stream.height = side
            stream.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
            stream.disposition = Disposition.default if number == chosen else Disposition(0)
            streams.append(stream)
        for index in range(5):
            for stream in streams:
                picture = moving_picture(index, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = index
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        for stream in streams:
            container.mux(stream.encode(None))
    assert probe(path).width_px == 64
    forward, backward = read_both_ways(path)
    assert forward.shape == (5, 64, 64, 3)
    np.testing.assert_array_equal(forward, backward)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_a_photograph_of_a_phone_is_refused(tmp_path: Path, brand: bytes) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(heif_of_one_tile(tmp_path, brand))
    said = "photo.heic: a HEIC photograph, which is not read; convert it to JPEG"
    with pytest.raises(MediaError, match=said):
        load_image(path)
    with pytest.raises(MediaError, match=said):
        probe(path)


def test_sides_that_cannot_be_warped_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 1, width=40_000, height=16, codec="ffv1", pixel_format="bgr0")
    Image.new("RGB", (2, 40_000)).save(tmp_path / "a.png")
    for name, size in (("a.mkv", "40000 x 16"), ("a.png", "2 x 40000")):
        with pytest.raises(MediaError, match=f"{name}: {size} px, expected sides up to 32766 px"):
            probe(tmp_path / name)


@pytest.mark.parametrize(("limit", "expected"), [(10**9, 6), (3 * 64 * 64 * 2, 2), (1, 1)])
def test_chunks_are_bounded_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, expected: int
) -> None:
    write_video(tmp_path / "clip.mp4", 6)
    monkeypatch.setattr(video, "CHUNK_BYTES", limit)
    with VideoReader(tmp_path / "clip.mp4") as reader:
        chunks = list(reader.read_chunks(16))
        assert {len(chunk) for chunk in chunks} == {expected}
        pts = np.concatenate([chunk.pts for chunk in chunks])
        again = list(reader.read_frames(np.arange(6), pts, 16))
    assert [chunk.start for chunk in again] == list(range(0, 6, expected))
    assert {len(chunk) for chunk in again} == {expected}


def test_encoders_look_less_far_ahead_in_large_pictures() -> None:
    usual = EncoderOptions("libx264").for_encoder("mp4", 1920, 1080)
    assert "rc-lookahead" not in usual
    large = EncoderOptions("libx264").for_encoder("mp4", 4096, 4096)
    assert int(large["rc-lookahead"]) <= 4
    assert large["thread_type"] == "slice"  # threads with a frame each take more with every core
    fast = EncoderOptions("libx264", preset="ultrafast").for_encoder("mp4", 4096, 4096)
    assert "rc-lookahead" not in fast
    assert "rc-lookahead" in EncoderOptions("libx265").for_encoder("mp4", 7680, 4320)["x265-params"]
    assert int(EncoderOptions("libvpx-vp9").for_encoder("webm", 4096, 4096)["lag-in-frames"]) < 5


@pytest.mark.parametrize(("side", "waiting"), [(2160, 1), (4096, 0)])
def test_few_of_the_largest_pictures_are_on_their_way(
    tmp_path: Path, side: int, waiting: int
) -> None:
    write_video(tmp_path / "clip.mp4", 1)
    info = replace(probe(tmp_path / "clip.mp4"), width_px=side, height_px=side)
    assert waiting_chunks(info) == waiting


def heif_of_one_tile(folder: Path, brand: bytes) -> bytes:
    """The smallest still that FFmpeg takes for one: ftyp, meta and a HEVC picture."""
    movie = folder / "tile.mp4"
    # with B frames x265 leaves the decoding time of a single picture to chance
    parameters = "log-level=error:bframes=0"
    write_video(movie, 1, codec="libx265", codec_options={"x265-params": parameters})
    data = movie.read_bytes()
    start = data.index(b"hvcC") - 4
    configuration = data[start : start + int.from_bytes(data[start : start + 4], "big")]
    with av.open(str(movie)) as container:
        picture = bytes(next(iter(container.demux(video=0))))

    def box(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return (8 + len(body)).to_bytes(4, "big") + name + body

    def full(name: bytes, *parts: bytes, version: int = 0) -> bytes:
        return box(name, bytes([version, 0, 0, 0]), *parts)

    def meta(offset: int) -> bytes:
        entry = full(b"infe", b"\0\1\0\0", b"hvc1", b"\0", version=2)
        place = b"\x44\0" + b"\0\1" + b"\0\1" + b"\0\0" + b"\0\1"
        place += offset.to_bytes(4, "big") + len(picture).to_bytes(4, "big")
        size = full(b"ispe", (64).to_bytes(4, "big") * 2)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", b"\0\1"),
            full(b"iloc", place),
            full(b"iinf", b"\0\1", entry),
            box(
                b"iprp",
                box(b"ipco", configuration, size),
                full(b"ipma", b"\0\0\0\1", b"\0\1", b"\2", b"\x81\2"),
            ),
        )

    kind = box(b"ftyp", brand, bytes(4), brand)
    return kind + meta(len(kind) + len(meta(0)) + 8) + box(b"mdat", picture)
