"""What is written is what was given: pixels, times, colours and sound, or no file at all."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import correlate

from retalking.errors import ConfigError, MediaError
from retalking.media.encoding import EncoderOptions, check_output
from retalking.media.images import save_image
from retalking.media.sound.audio import load, read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.video import VideoReader
from retalking.media.video_info import probe
from retalking.media.video_writer import VideoWriter
from retalking.types import ColorTags, VideoInfo
from tests.media import moving_picture, speech_like, tone, write_audio, write_video

LOSSLESS = EncoderOptions(codec="ffv1")


def make_info(
    width: int = 64,
    height: int = 64,
    rate: Fraction = Fraction(25),
    time_base: Fraction = Fraction(1, 12800),
    **fields: object,
) -> VideoInfo:
    return VideoInfo(
        path=Path("source.mp4"),
        width_px=width,
        height_px=height,
        rotation_deg=0,
        time_base=time_base,
        frame_rate=rate,
        num_frames=None,
        **fields,  # type: ignore[arg-type]
    )


def pictures(count: int, width: int = 64, height: int = 64) -> np.ndarray:
    return np.stack([moving_picture(i, width, height) for i in range(count)])


def even_pts(count: int, step: int = 512) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * step


def read_all(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``[F, H, W, 3]`` and seconds ``[F]``."""
    with VideoReader(path) as reader:
        chunks = list(reader.read_chunks(16))
        pts = np.concatenate([c.pts for c in chunks])
        return np.concatenate([c.rgb for c in chunks]), pts * float(reader.info.time_base)


def error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got.astype(int) - expected.astype(int)).mean())


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


SOUNDS = [
    ("voice.wav", "pcm_s16le", 44100),
    ("voice.flac", "flac", 22050),
    ("voice.mp3", "libmp3lame", 44100),
    ("voice.m4a", "aac", 44100),
    ("voice.ogg", "libopus", 48000),
]


@pytest.mark.parametrize(("name", "codec", "rate_hz"), SOUNDS)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_sound_is_in_sync(tmp_path: Path, suffix: str, name: str, codec: str, rate_hz: int) -> None:
    """The first sample is heard with the first frame, within a millisecond, at its own rate."""
    write_audio(tmp_path / name, speech_like(1.5, rate_hz), rate_hz, codec)
    path = tmp_path / f"out{suffix}"
    options = EncoderOptions("libvpx-vp9" if suffix == ".webm" else "libx264", preset="ultrafast")
    with VideoWriter(path, make_info(), options, AudioTrack(tmp_path / name)) as writer:
        for start in range(0, 38, 10):
            stop = min(start + 10, 38)
            writer.write(pictures(38)[start:stop], even_pts(38)[start:stop])
    rgb, seconds = read_all(path)
    with av.open(str(path)) as container:
        sound_start = next(container.decode(container.streams.audio[0])).time
    assert (seconds[0], sound_start) == pytest.approx((0, 0), abs=0.001)
    assert len(rgb) == 38
    given, heard = load(tmp_path / name, 16000).samples, load(path, 16000).samples
    lag = int(correlate(heard, given, "full", "fft").argmax()) - len(given) + 1
    assert abs(lag) <= 16
    assert abs(len(heard) - len(given)) < 1600
    if suffix != ".webm":  # Opus knows few rates
        assert probe_audio(path).sample_rate_hz == rate_hz


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [("v.m4a", "aac", ".mp4"), ("v.wav", "pcm_s16le", ".mkv"), ("v.ogg", "libopus", ".webm")],
)
def test_fitting_sound_is_copied(tmp_path: Path, name: str, codec: str, suffix: str) -> None:
    write_audio(tmp_path / name, speech_like(1.0, 48000), 48000, codec)
    path = tmp_path / f"out{suffix}"
    options = EncoderOptions("libvpx-vp9" if suffix == ".webm" else "libx264")
    with VideoWriter(path, make_info(), options, AudioTrack(tmp_path / name, 0.0, 1.0)) as writer:
        writer.write(pictures(25), even_pts(25))
    packets = []
    for file in (tmp_path / name, path):
        with av.open(str(file)) as container:
            packets.append(b"".join(bytes(p) for p in container.demux(audio=0)))
    assert packets[0] == packets[1]


def test_stereo_stays_stereo(tmp_path: Path) -> None:
    channels = np.stack([tone(1.0, hz, 44100) for hz in (300, 700)])
    write_audio(tmp_path / "v.wav", channels, 44100)
    with VideoWriter(
        tmp_path / "out.mp4", make_info(), audio=AudioTrack(tmp_path / "v.wav")
    ) as writer:
        writer.write(pictures(25), even_pts(25))
    got = np.concatenate(list(read_blocks(probe_audio(tmp_path / "out.mp4"))), axis=1)[
        :, 4000:40000
    ]
    matrix = np.corrcoef(np.concatenate([got, channels[:, 4000:40000]]))[:2, 2:]
    np.testing.assert_allclose(matrix, np.eye(2), atol=0.02)


@pytest.mark.parametrize("name", ["v.wav", "v.flac"])
@pytest.mark.parametrize(
    ("start_s", "duration_s", "samples"),
    [(0.0, 0.4, 6400), (0.25, None, 12000), (0.5, 1.0, 16000), (2.0, 0.5, 8000)],
)
def test_sound_is_cut_and_padded_to_the_sample(
    tmp_path: Path, name: str, start_s: float, duration_s: float | None, samples: int
) -> None:
    voice = tone(1.0)
    write_audio(tmp_path / name, voice, codec="pcm_s16le" if name == "v.wav" else "flac")
    track = AudioTrack(tmp_path / name, start_s, duration_s)
    with VideoWriter(tmp_path / "out.mkv", make_info(), LOSSLESS, track) as writer:
        writer.write(pictures(10), even_pts(10))
    wanted = np.zeros(samples, np.float32)
    kept = voice[round(start_s * 16000) :][:samples]
    wanted[: len(kept)] = kept
    np.testing.assert_allclose(load(tmp_path / "out.mkv").samples, wanted, atol=1e-4)


def test_sound_and_pictures_alternate_in_the_file(tmp_path: Path) -> None:
    write_audio(tmp_path / "v.wav", speech_like(6.0), 16000)
    path = tmp_path / "out.mp4"
    with VideoWriter(path, make_info(), audio=AudioTrack(tmp_path / "v.wav")) as writer:
        for start in range(0, 150, 25):
            writer.write(pictures(25), even_pts(150)[start : start + 25])
    with av.open(str(path)) as container:
        order = sorted(
            (packet.pos, packet.stream.type, float(packet.dts * packet.time_base))
            for packet in container.demux()
            if packet.size
        )
    latest = {"audio": 0.0, "video": 0.0}
    for _, kind, seconds in order:
        latest[kind] = seconds
        assert abs(latest["audio"] - latest["video"]) < 1.2
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")  # a browser can start before the end


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
