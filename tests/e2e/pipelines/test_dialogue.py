"""Several people in one video, each with words of their own."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from retalking import Retalker, converse
from retalking.errors import ConfigError, FaceNotFoundError
from retalking.inference.cli import main
from retalking.inference.dialogue import Who, parse_speakers
from retalking.inference.profiles import load_profile
from retalking.locations import REPOSITORY
from retalking.media.images import load_image, save_image
from retalking.media.sound.audio import read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.networks.load import Parts
from tests import media
from tests.e2e.conftest import two_people
from tests.e2e.jobs import read_frames
from tests.speech import vowels

LEFT, RIGHT = (10, 10, 250, 200), (270, 20, 440, 170)


def read_sound(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(probe_audio(path))), axis=1)


@pytest.fixture
def speeches(tmp_path: Path) -> tuple[Path, Path]:
    """Two speeches, one shorter and at another rate."""
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    media.write_audio(first, vowels(0.32).samples, 16000)
    media.write_audio(second, vowels(0.16, seed=1).samples[::2], 8000)
    return first, second


@pytest.fixture
def retalker(tmp_path: Path, still_parts: Parts) -> Retalker:
    options = {
        "codec": "ffv1",
        "tmp_dir": str(tmp_path / "cache"),
        "reference_source": "current",
        "chunk_size": 3,
        "watermark": "off",  # which goes into the sound, too
    }
    return Retalker(load_profile("small", options), still_parts)


def alone(retalker: Retalker, who: Who, face: Path, audio: Path, outfile: Path) -> np.ndarray:
    """What a job for this person alone makes."""
    config = retalker.config.model_copy(update={"face_box": who})
    Retalker(config, retalker.parts)(face, audio, outfile)
    return read_frames(outfile)


def test_everyone_has_words_of_their_own(
    retalker: Retalker, tmp_path: Path, speeches: tuple[Path, Path]
) -> None:
    face, out = two_people(tmp_path, 8), tmp_path / "out.mkv"
    report = converse(retalker, face, dict(zip((LEFT, RIGHT), speeches, strict=True)), out)
    frames = read_frames(out)
    assert report.num_frames == len(frames) == 8
    assert report.num_edited == 8
    assert not list((tmp_path / "cache" / "jobs").iterdir())
    first = alone(retalker, LEFT, face, speeches[0], tmp_path / "one.mkv")
    assert np.array_equal(frames[:, :, :256], first[:, :, :256])
    assert np.array_equal(first[:, :, 262:], read_frames(face)[:, :, 262:])
    # The second speech ends earlier: a track of that length, silent at its end, says the same.
    longer = np.zeros((1, round(0.32 * 8000)), np.float32)
    said = read_sound(speeches[1])
    longer[:, : said.shape[1]] = said
    media.write_audio(tmp_path / "longer.wav", longer, 8000)
    second = alone(retalker, RIGHT, face, tmp_path / "longer.wav", tmp_path / "other.mkv")
    assert np.array_equal(frames[:, :, 262:], second[:, :, 262:])
    assert (frames != read_frames(face)).any(axis=-1)[:, :, 262:].any(axis=(1, 2)).all()


def test_who_is_silent_has_a_closed_mouth(
    retalker: Retalker, still_parts: Parts, tmp_path: Path, speeches: tuple[Path, Path]
) -> None:
    face = two_people(tmp_path, 8)
    converse(retalker, face, {1: speeches[1], 0: speeches[0]}, tmp_path / "out.mkv")
    mels = still_parts.enet.mels  # in chunks of three: the smaller person, then the larger
    whose = [who for start in (0, 3, 6) for who in (1, 0) for _ in range(start, min(start + 3, 8))]
    second, first = (
        torch.cat([mel for mel, by in zip(mels, whose, strict=True) if by == who]) for who in (1, 0)
    )
    assert len(first) == len(second) == 8
    late = slice(2, 5)  # columns of 12.5 ms, 0.265 to 0.3 s: after the second voice
    assert (second[6, ..., late] == -4).all()
    assert not (first[6, ..., late] == -4).all()


def test_the_sound_is_that_of_all_or_the_mix(
    retalker: Retalker, tmp_path: Path, speeches: tuple[Path, Path]
) -> None:
    face, out = two_people(tmp_path, 8), tmp_path / "out.mkv"
    retalker = Retalker(retalker.config.model_copy(update={"sound": "copy"}), retalker.parts)
    converse(retalker, face, {0: speeches[0], 1: speeches[1]}, out)
    sound, first = read_sound(out), read_sound(speeches[0])
    assert probe_audio(out).sample_rate_hz == 16000
    assert sound.shape == first.shape
    other = sound - first
    half = round(0.16 * 16000)
    assert np.abs(other[:, : half - 50]).max() > 0.1
    assert np.abs(other[:, half + 50 :]).max() < 1e-3  # the second voice has ended

    mix = tmp_path / "mix.wav"
    media.write_audio(mix, np.stack([media.tone(0.24), media.tone(0.24)]), 16000)
    report = converse(retalker, face, {0: speeches[0], 1: speeches[1]}, out, mix)
    assert report.num_frames == 6
    assert np.array_equal(read_sound(out), read_sound(mix))


def test_people_who_are_not_there_or_one_are_told(
    retalker: Retalker, tmp_path: Path, speeches: tuple[Path, Path], clip: Path
) -> None:
    face, out = two_people(tmp_path), tmp_path / "out.mkv"
    with pytest.raises(FaceNotFoundError, match="speaker 2: "):
        converse(retalker, face, {0: speeches[0], 2: speeches[1]}, out)
    with pytest.raises(ConfigError, match="speakers 0 and 10,10,250,200 are one face"):
        converse(retalker, face, {0: speeches[0], LEFT: speeches[1]}, out)
    with pytest.raises(ConfigError, match="is also"):
        converse(retalker, face, {0: speeches[0], 1: speeches[1]}, face)
    assert not out.exists()


@pytest.mark.parametrize(("key", "value"), [("face_index", 0), ("speaker", Path("anna"))])
def test_what_is_meant_for_one_person_is_refused(
    retalker: Retalker, key: str, value: object, speeches: tuple[Path, Path], clip: Path
) -> None:
    retalker.config = retalker.config.model_copy(update={key: value})
    with pytest.raises(ConfigError, match="one person; speakers are several"):
        converse(retalker, clip, {0: speeches[0]}, Path("out.mkv"))


def test_each_speaker_gets_a_report(
    tmp_path: Path, speeches: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    portrait = load_image(REPOSITORY / "assets" / "sample" / "portrait.jpg")
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    two = np.full((len(portrait), portrait.shape[1] + small.shape[1], 3), 200, np.uint8)
    two[:, : portrait.shape[1]], two[: len(small), portrait.shape[1] :] = portrait, small
    save_image(tmp_path / "two.png", two)
    flags = ["--face", str(tmp_path / "two.png"), "--profile", "lite", "--min-fps", "12"]
    speakers = [f"{number}={speech}" for number, speech in enumerate(speeches)]
    files = ["--outfile", str(tmp_path / "out.mp4"), "--report", str(tmp_path / "seen.json")]
    assert main([*flags, "--speaker-audio", *speakers, *files]) == 0
    told = capsys.readouterr().out
    first, second = (json.loads((tmp_path / f"seen-{n}.json").read_text()) for n in (0, 1))
    assert first["frames"] == second["frames"]
    assert first["curves"]["heard"] != second["curves"]["heard"]
    assert first["curves"]["made"] != second["curves"]["made"]
    assert told.count("review: ") == 2
    assert f"1={speeches[1]}: {tmp_path / 'seen-1.json'}" in told


def test_speakers_are_read_from_the_command_line() -> None:
    texts = ["0=a.wav", "1,2,3,4=b.wav", "an=na.jpg=d.wav"]
    assert parse_speakers(texts) == {
        0: Path("a.wav"),
        (1, 2, 3, 4): Path("b.wav"),
        Path("an=na.jpg"): Path("d.wav"),
    }
    for wrong in ("a.wav", "=a.wav", "0="):
        with pytest.raises(ConfigError, match="expected PERSON=SPEECH"):
            parse_speakers([wrong])
    with pytest.raises(ConfigError, match="has a speech already"):
        parse_speakers(["0=a.wav", "0=b.wav"])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--audio", "a.wav", "--mix", "b.wav"], "--mix: is the sound of several"),
        (["--speaker-audio", "a.wav"], "expected PERSON=SPEECH"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(
    flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--face", "talk.mp4", "--profile", "lite", *flags]) == 2
    assert told in capsys.readouterr().err
