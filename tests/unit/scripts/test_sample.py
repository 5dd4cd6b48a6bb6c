"""The bundled sample is whole, is what its sources say, and shows and tells something."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError
from retalking.face.detection import CascadeDetector
from retalking.face.landmarks import LiteLandmarker
from retalking.locations import REPOSITORY
from retalking.media.images import load_image
from retalking.media.sound.audio import load
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.silence import speech_gate
from retalking.media.video import VideoReader
from scripts.lite import make_sample

SAMPLE = REPOSITORY / "assets" / "sample"
ROW = re.compile(r"^\| `([\w.]+)` \| (\d+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    with VideoReader(SAMPLE / "talk.mp4") as reader:
        return np.concatenate([chunk.rgb for chunk in reader.read_chunks(16)])


def test_every_file_is_the_one_in_the_sources() -> None:
    listed = {name: (int(size), digest) for name, size, digest in ROW.findall(sources())}
    here = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in SAMPLE.iterdir()
        if path.name != "SOURCES.md"
    }
    assert listed == here
    assert sum(size for size, _ in here.values()) < 500_000


def sources() -> str:
    return (SAMPLE / "SOURCES.md").read_text(encoding="utf-8")


def test_the_sources_name_the_command_that_made_the_speech() -> None:
    text = f'"{make_sample.TEXT}"'
    command = [text if word == make_sample.TEXT else word for word in make_sample.SPEECH_COMMAND]
    assert " ".join([*command, "speech.wav"]) in sources()


def test_the_portrait_is_credited() -> None:
    for word in ("Face Research Lab London Set", "DeBruine", "Jones", "CC BY 4.0", "cropped"):
        assert word in sources()


def test_the_video_shows_a_face_all_the_time(frames: np.ndarray) -> None:
    assert frames.shape == (make_sample.NUM_FRAMES, 448, 448, 3)
    detector = CascadeDetector(LiteLandmarker.from_file())
    boxes = [detector.detect(frame) for frame in frames[::22]]
    assert [len(found) for found in boxes] == [1] * 6
    heights_px = [found[0, 3] - found[0, 1] for found in boxes]
    assert min(heights_px) > 120


def test_the_video_is_the_portrait_moved_by_the_script(frames: np.ndarray) -> None:
    motion = make_sample.sway(make_sample.NUM_FRAMES)
    portrait = load_image(SAMPLE / "portrait.jpg")
    for index in (0, 50, 131):
        made = make_sample.move_portrait(portrait, motion[index])
        assert np.abs(made.astype(int) - frames[index]).mean() < 4


def test_the_sway_is_smooth_bounded_and_closed() -> None:
    motion = make_sample.sway(100)
    reach = np.abs(motion).max(axis=0)
    limits = np.array([9.0, 5.0, 2.5, 0.04])
    assert (reach <= limits).all()
    assert (reach > 0.3 * limits).all()
    steps = np.abs(np.diff(np.concatenate([motion, motion[:1]]), axis=0))
    assert (steps.max(axis=0) < 0.12 * limits).all()
    np.testing.assert_array_equal(motion, make_sample.sway(100))


def test_the_speech_sounds_like_speech() -> None:
    info = probe_audio(SAMPLE / "speech.wav")
    assert (info.sample_rate_hz, info.num_channels, info.codec) == (16000, 1, "pcm_s16le")
    clip = load(SAMPLE / "speech.wav")
    assert 4.5 < clip.duration_s < make_sample.NUM_FRAMES / 25
    assert 0.3 < np.abs(clip.samples).max() < 1.0  # loud, and not clipped
    assert speech_gate(clip, round(clip.duration_s * 80)).mean() > 0.8
    level = np.sqrt(np.mean(clip.samples[:80000].reshape(-1, 400) ** 2, axis=1))  # per 25 ms
    bursts = np.count_nonzero(np.diff((level > 0.3 * level.max()).astype(int)) == 1)
    assert 6 <= bursts <= 40  # syllables, not a tone and not noise
    spectrum = np.abs(np.fft.rfft(clip.samples)) ** 2
    hz = np.fft.rfftfreq(len(clip.samples), 1 / 16000)
    assert spectrum[(hz > 100) & (hz < 4000)].sum() > 0.9 * spectrum.sum()


def test_a_missing_synthesiser_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"flite: not found; install it"):
        make_sample.synthesise_speech(tmp_path / "speech.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_synthesiser_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "flite"
    fake.write_text("#!/bin/sh\nexec false\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ConfigError, match="flite: exit code 1"):
        make_sample.synthesise_speech(tmp_path / "speech.wav")
