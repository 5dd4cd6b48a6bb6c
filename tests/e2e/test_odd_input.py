"""Broken and odd files: each ends with a result or with one clear line, never with a traceback."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retalking.inference import pipeline
from retalking.inference.cli import main
from retalking.inference.profiles import load_profile
from retalking.networks.load import Parts, load_parts
from tests import media
from tests.e2e.conftest import HEIGHT, WIDTH, portrait_frames

Maker = Callable[[Path], Path]


@pytest.fixture(scope="module")
def loaded(small_networks: dict[str, Path]) -> Parts:
    return load_parts(load_profile("small", {**small_networks, "batch_size": 1}))


@pytest.fixture
def run(
    loaded: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, list[str]]]:
    monkeypatch.setattr(pipeline, "load_parts", lambda config: loaded)

    def run(face: Path, audio: Path) -> tuple[int, list[str]]:
        outfile = tmp_path / "result" / "out.mp4"
        outfile.parent.mkdir(exist_ok=True)
        job = ["--face", str(face), "--audio", str(audio), "--outfile", str(outfile)]
        settings = ["--profile", "small", "--tmp-dir", str(tmp_path / "cache")]
        code = main([*job, *settings, "--max-seconds", "0.05"])
        text = capsys.readouterr().err
        assert "Traceback" not in text
        left = [path.name for path in outfile.parent.iterdir()]
        assert left == (["out.mp4"] if code == 0 else [])
        return code, [line for line in text.splitlines() if line.startswith("error:")]

    return run


def small_clip(path: Path, **settings: object) -> Path:
    size = {"width": WIDTH, "height": HEIGHT, **settings}
    pictures = portrait_frames(4, size["width"], size["height"])  # type: ignore[arg-type]
    media.write_video(path, pictures=pictures, **size)  # type: ignore[arg-type]
    return path


def edited(make: Maker, change: Callable[[bytes], bytes]) -> Maker:
    def broken(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return broken


def raw(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def picture(name: str, mode: str = "RGB", **options: object) -> Maker:
    def make(folder: Path) -> Path:
        image = Image.fromarray(portrait_frames(1)[0])
        converted = (
            image.convert(mode)
            if mode != "I;16"
            else Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
        )
        converted.save(folder / name, **options)
        return folder / name

    return make


def clip(name: str, **settings: object) -> Maker:
    return lambda folder: small_clip(folder / name, **settings)


def sound(name: str, samples: np.ndarray, **settings: object) -> Maker:
    def make(folder: Path) -> Path:
        media.write_audio(folder / name, samples, **settings)  # type: ignore[arg-type]
        return folder / name

    return make


def turned_clip(folder: Path) -> Path:
    """Stored on its side, with the note that players are to turn it upright."""
    pictures = [np.ascontiguousarray(np.rot90(upright)) for upright in portrait_frames(4)]
    media.write_video(
        folder / "a.mp4", pictures=pictures, width=HEIGHT, height=WIDTH, rotation_ccw_deg=-90
    )
    return folder / "a.mp4"


MP4 = clip("a.mp4")
GOOD_FACES: dict[str, Maker] = {
    "png": picture("a.png"),
    "jpg": picture("a.jpg"),
    "grey png": picture("a.png", "L"),
    "png with alpha": picture("a.png", "RGBA"),
    "palette png": picture("a.png", "P"),
    "16-bit png": picture("a.png", "I;16"),
    "cmyk jpg": picture("a.jpg", "CMYK"),
    "webp": picture("a.webp"),
    "bmp": picture("a.bmp"),
    "tiff": picture("a.tiff"),
    "image with a wrong suffix": picture("a.mp4", format="PNG"),
    "two dots in the name": picture("v1.2 final.png"),
    "spaces and quotes": clip("a 'b' \"c\" $d.mp4"),
    "unicode name": clip("grüße 你好.mp4"),
    "percent and colon": clip("100%:x.mkv"),
    "odd size": clip("a.mkv", width=255, height=207, pixel_format="yuv444p"),
    "mkv": clip("a.mkv"),
    "webm": clip("a.webm", codec="libvpx-vp9"),
    "avi": clip("a.avi", codec="mpeg4"),
    "30 fps": clip("a.mp4", rate=Fraction(30)),
    "ntsc": clip("a.mp4", rate=Fraction(30000, 1001)),
    "50 fps": clip("a.mp4", rate=Fraction(50)),
    "variable rate": clip("a.mkv", pts=[0, 40, 90, 200], time_base=Fraction(1, 1000)),
    "turned by a quarter": turned_clip,
    "full range": clip("a.mp4", color_range=2),
    "4:4:4": clip("a.mp4", pixel_format="yuv444p"),
    "10 bit": clip("a.mkv", pixel_format="yuv420p10le"),
    "garbage behind the end": edited(MP4, lambda data: data + b"\0" * 999),
    "wrong suffix for a video": lambda folder: MP4(folder).rename(folder / "a.jpg"),
}
BAD_FACES: dict[str, Maker] = {
    "missing": lambda folder: folder / "nothing.mp4",
    "a directory": lambda folder: folder,
    "empty": raw("a.mp4", b""),
    "text": raw("a.mp4", b"not a video"),
    "html": raw("a.mp4", b"<!DOCTYPE html><html></html>"),
    "zeros": raw("a.mp4", bytes(5000)),
    "random bytes": raw("a.mp4", np.random.default_rng(0).bytes(5000)),
    "mp4 header only": raw("a.mp4", struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)),
    "first half of an mp4": edited(MP4, lambda data: data[: len(data) // 2]),
    "first bytes of an mp4": edited(MP4, lambda data: data[:40]),
    "overwritten index": edited(MP4, lambda data: data.replace(b"moov", b"xxxx")),
    "truncated png": edited(picture("a.png"), lambda data: data[: len(data) // 2]),
    "truncated jpg": edited(picture("a.jpg"), lambda data: data[:60]),
    "png header only": raw("a.png", b"\x89PNG\r\n\x1a\n"),
    "svg": raw("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "pdf": raw("a.pdf", b"%PDF-1.4\n%%EOF"),
    "zip": raw("a.zip", b"PK\x03\x04" + bytes(30)),
    "json": raw("a.json", b"{}"),
    "audio only": sound("a.wav", media.speech_like(0.3)),
    "audio only in mp4": sound("a.m4a", media.speech_like(0.3), codec="aac"),
    "no face": lambda folder: (media.write_video(folder / "a.mp4", 4), folder / "a.mp4")[1],
    "tiny frames": lambda folder: (
        media.write_video(folder / "a.mkv", 4, width=16, height=16),
        folder / "a.mkv",
    )[1],
    "one pixel": lambda folder: (Image.new("RGB", (1, 1)).save(folder / "a.png"), folder / "a.png")[
        1
    ],
    "very wide": lambda folder: (
        Image.new("RGB", (5000, 2)).save(folder / "a.png"),
        folder / "a.png",
    )[1],
    "loop of links": lambda folder: (
        os.symlink(folder / "a.mp4", folder / "a.mp4"),
        folder / "a.mp4",
    )[1],
    "a device": lambda folder: Path("/dev/null"),
}
SPEECH = media.speech_like(0.3)
GOOD_AUDIO: dict[str, Maker] = {
    "stereo": sound("a.wav", np.stack([SPEECH, SPEECH])),
    "8 kHz": sound("a.wav", SPEECH, rate_hz=8000),
    "44.1 kHz": sound("a.wav", SPEECH, rate_hz=44100),
    "96 kHz": sound("a.wav", SPEECH, rate_hz=96000),
    "flac": sound("a.flac", SPEECH, codec="flac"),
    "m4a": sound("a.m4a", SPEECH, codec="aac"),
    "mp3": sound("a.mp3", SPEECH, rate_hz=44100, codec="libmp3lame"),
    "ogg": sound("a.ogg", SPEECH, rate_hz=48000, codec="libopus"),
    "silence": sound("a.wav", np.zeros(8000, np.float32)),
    "five milliseconds": sound("a.wav", SPEECH[:80]),
    "one sample": sound("a.wav", SPEECH[:1]),
    "clipped": sound("a.wav", np.sign(SPEECH)),
    "wrong suffix": lambda folder: sound("a.wav", SPEECH)(folder).rename(folder / "a.mp3"),
    "six channels": sound("a.wav", np.stack([SPEECH] * 6)),
}
BAD_AUDIO: dict[str, Maker] = {
    "missing": lambda folder: folder / "nothing.wav",
    "a directory": lambda folder: folder,
    "empty": raw("a.wav", b""),
    "text": raw("a.wav", b"hello"),
    "wav header only": edited(sound("a.wav", SPEECH), lambda data: data[:44]),
    "no samples": sound("a.wav", np.zeros(0, np.float32)),
    "video without audio": MP4,
    "a picture": picture("a.png"),
    "not a number": sound("a.wav", np.full(800, np.nan, np.float32), codec="pcm_f32le"),
    "infinite": sound("a.wav", np.full(800, np.inf, np.float32), codec="pcm_f32le"),
    "random bytes": raw("a.wav", np.random.default_rng(1).bytes(4000)),
}


def test_the_sets_are_large_enough() -> None:
    assert sum(map(len, (GOOD_FACES, BAD_FACES, GOOD_AUDIO, BAD_AUDIO))) >= 60


@pytest.mark.parametrize("name", GOOD_FACES)
def test_odd_faces_work(
    name: str, tmp_path: Path, speech: Path, run: Callable[..., object]
) -> None:
    assert run(GOOD_FACES[name](tmp_path), speech) == (0, [])


@pytest.mark.parametrize("name", BAD_FACES)
def test_bad_faces_are_one_line(
    name: str, tmp_path: Path, speech: Path, run: Callable[..., tuple[int, list[str]]]
) -> None:
    face = BAD_FACES[name](tmp_path)
    code, errors = run(face, speech)
    assert code == 2
    assert len(errors) == 1
    assert str(face) in errors[0]


@pytest.mark.parametrize("name", GOOD_AUDIO)
def test_odd_audio_works(name: str, tmp_path: Path, clip: Path, run: Callable[..., object]) -> None:
    assert run(clip, GOOD_AUDIO[name](tmp_path)) == (0, [])


@pytest.mark.parametrize("name", BAD_AUDIO)
def test_bad_audio_is_one_line(
    name: str, tmp_path: Path, clip: Path, run: Callable[..., tuple[int, list[str]]]
) -> None:
    audio = BAD_AUDIO[name](tmp_path)
    code, errors = run(clip, audio)
    assert code == 2
    assert len(errors) == 1
    assert str(audio) in errors[0]
