"""The sound's mark: it flows, keeps the length, is hardly there, and is found again."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soxr  # type: ignore[import-untyped]

from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio import load
from retalking.media.sound.audio_track import AudioTrack
from retalking.trust.payload_code import PUBLIC_KEY
from retalking.trust.sound import evidence as sound_evidence
from retalking.trust.sound.evidence import SoundFinding, weigh_sound
from retalking.trust.sound.mark import SoundMark
from retalking.trust.sound.pattern import slot_signs, sound_code
from retalking.types import AudioClip
from tests.media import write_audio
from tests.unit.media.output.writing import even_pts, make_info, pictures

RATE, USER = 16000, 4711
CODE = sound_code(PUBLIC_KEY)
MARK = SoundMark(slot_signs(CODE, USER))


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """Five seconds of pulses through a moving resonance, with syllables and breath."""
    time_s = np.arange(5 * RATE) / RATE
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE
    buzz = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 40))
    breath = np.random.default_rng(0).normal(0, 0.3, len(time_s))
    loud = 0.15 * (0.3 + np.abs(np.sin(2 * np.pi * 2.1 * time_s)))
    return (loud * (buzz + breath) / 2)[None].astype(np.float32)


def mark(sound: np.ndarray, rate_hz: int = RATE, pieces: int = 1) -> np.ndarray:
    blocks = np.array_split(sound, pieces, axis=1)
    return np.concatenate(list(MARK.apply(iter(blocks), rate_hz)), axis=1)


def look(samples: np.ndarray, key: bytes = PUBLIC_KEY) -> SoundFinding:
    found = weigh_sound(AudioClip(samples.astype(np.float32), RATE), sound_code(key))
    assert found is not None
    return found


def test_the_mark_is_found_and_nothing_without_it_or_without_its_key(
    voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_evidence, "SPEEDS", (1.0,))  # others take as long again
    marked = mark(voice)[0]
    assert look(marked).user == USER
    assert look(marked).log10_p < -12
    short = slice(2 * RATE)
    assert look(voice[0, short]).log10_p > -3
    assert look(marked[short], b"another key").log10_p > -3


def test_pieces_make_no_difference_and_the_length_stays(voice: np.ndarray) -> None:
    stereo = np.concatenate([voice, 0.5 * voice])[:, : 2 * RATE + 123]
    whole = mark(stereo)
    assert whole.shape == stereo.shape
    for pieces in (7, 300):
        np.testing.assert_allclose(mark(stereo, pieces=pieces), whole, atol=1e-6)
    assert mark(stereo[:, :5]).shape == (2, 5)
    assert list(MARK.apply(iter([]), RATE)) == []


def test_silence_stays_silent_and_the_change_is_small(voice: np.ndarray) -> None:
    assert not mark(np.zeros((1, RATE), dtype=np.float32)).any()
    change = mark(voice) - voice
    ratio_db = 10 * np.log10(np.square(voice).mean() / np.square(change).mean())
    assert 10 < ratio_db < 20


@pytest.mark.parametrize("attack", ["cut", "speed", "noise", "other rate"])
def test_the_mark_outlives(voice: np.ndarray, attack: str) -> None:
    sound = mark(voice)[0]
    if attack == "cut":
        sound = sound[round(0.777 * RATE) :]
    elif attack == "speed":
        sound = soxr.resample(sound, RATE, RATE / 1.02)
    elif attack == "noise":
        noise = np.random.default_rng(1).normal(0, 0.1 * sound.std(), len(sound))
        sound = sound + noise
    else:
        high = soxr.resample(voice[0], RATE, 44100)[None]
        sound = soxr.resample(mark(high, 44100)[0], 44100, RATE)
    found = look(sound)
    assert found.user == USER
    assert found.log10_p < -6


def test_silence_and_a_snippet_say_nothing() -> None:
    for samples in (np.zeros(3 * RATE), np.ones(RATE // 2)):
        assert weigh_sound(AudioClip(samples.astype(np.float32), RATE), CODE) is None


def test_a_marked_track_is_encoded_and_another_copied(tmp_path: Path, voice: np.ndarray) -> None:
    write_audio(tmp_path / "v.m4a", voice[0], RATE, "aac")
    packets = {}
    for name, mark_of in (("marked", MARK), ("copied", None)):
        path = tmp_path / f"{name}.mp4"
        track = AudioTrack(tmp_path / "v.m4a", duration_s=5.0, mark=mark_of)
        with VideoWriter(path, make_info(), EncoderOptions(), track) as writer:
            writer.write(pictures(4), even_pts(4))
        with av.open(str(path)) as container:
            packets[name] = [bytes(p) for p in container.demux(container.streams.audio[0])]
    with av.open(str(tmp_path / "v.m4a")) as container:
        given = [bytes(p) for p in container.demux(container.streams.audio[0])]
    assert packets["copied"] == given
    assert packets["marked"] != given
    assert look(load(tmp_path / "marked.mp4", RATE).samples).user == USER
    assert look(load(tmp_path / "marked.mp4", RATE).samples).log10_p < -9
