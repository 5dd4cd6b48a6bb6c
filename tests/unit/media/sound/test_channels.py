"""Sound of any number of channels: the voice is heard by the networks and by whoever listens."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio import load, read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.sound.downmix import SpeechMixer, mix, stereo_weights
from retalking.types import VideoInfo
from tests.media import moving_picture, speech_like, tone, write_audio

RATE = 48000


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def likeness(samples: np.ndarray, voice: np.ndarray) -> float:
    """Correlation of what is heard with the voice; 1 when nothing else is."""
    length = min(len(samples), len(voice)) - 4000
    return float(np.corrcoef(samples[2000:length], voice[2000:length])[0, 1])


def surround(layout: str, voice_at: int, seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A voice in one channel and a soft different tone in each other one."""
    count = av.AudioLayout(layout).nb_channels
    voice = 2 * speech_like(seconds, RATE)
    channels = np.stack([0.02 * tone(seconds, 150 + 70 * c, RATE) for c in range(count)])
    channels[voice_at] = voice
    return channels, voice


def write_with_sound(path: Path, sound: Path) -> None:
    info = VideoInfo(
        path=path.with_name("none"),
        width_px=64,
        height_px=64,
        rotation_deg=0,
        time_base=Fraction(1, 25),
        frame_rate=Fraction(25),
        num_frames=25,
    )
    options = EncoderOptions("libvpx-vp9" if path.suffix == ".webm" else "libx264")
    with VideoWriter(path, info, options, AudioTrack(sound, duration_s=1.0)) as writer:
        frames = np.stack([moving_picture(i) for i in range(25)])
        writer.write(frames, np.arange(25))


@pytest.mark.parametrize(
    ("suffix", "layout", "voice_at"),
    [
        (".mp4", "3.0", 2),
        (".mp4", "quad", 3),
        (".mp4", "5.1", 2),
        (".mp4", "7.1", 2),
        (".mkv", "4.0", 2),
        (".mkv", "5.1(side)", 2),
        (".webm", "5.1", 2),
        (".avi", "7.1", 2),
        (".mkv", "7.1", 2),
    ],
)
def test_the_output_keeps_the_layout_of_the_sound(
    tmp_path: Path, suffix: str, layout: str, voice_at: int
) -> None:
    channels, voice = surround(layout, voice_at)
    write_audio(tmp_path / "speech.wav", channels, RATE, layout=layout)
    write_with_sound(tmp_path / f"out{suffix}", tmp_path / "speech.wav")
    info = probe_audio(tmp_path / f"out{suffix}")
    assert info.layout == layout
    got = np.concatenate(list(read_blocks(info)), axis=1)
    assert likeness(got[voice_at], voice) > 0.95  # of the lossy encoder


@pytest.mark.parametrize(("suffix", "codec"), [(".flac", "flac"), (".wav", "pcm_s16le")])
@pytest.mark.parametrize("layout", ["7.1", "octagonal"])
def test_eight_channels_do_not_crash(tmp_path: Path, suffix: str, codec: str, layout: str) -> None:
    channels, voice = surround(layout, 2, seconds=0.5)
    path = tmp_path / f"s71{suffix}"
    write_audio(path, channels, RATE, codec, layout)
    got = np.concatenate(list(read_blocks(probe_audio(path))), axis=1)
    np.testing.assert_allclose(got, channels, atol=1e-4)
    assert likeness(load(path, RATE).samples, voice) > 0.99


@pytest.mark.parametrize("count", [3, 64])
def test_channels_without_a_layout_are_mixed_to_one(
    tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    channels, voice = surround(f"{count} channels", count - 1)
    channels[:-1] *= 0.01
    write_audio(tmp_path / "speech.wav", channels, RATE, layout=f"{count} channels")
    with caplog.at_level(logging.WARNING):
        write_with_sound(tmp_path / "out.mp4", tmp_path / "speech.wav")
    assert "nothing says what its" in caplog.text
    info = probe_audio(tmp_path / "out.mp4")
    assert info.num_channels == 1
    assert likeness(np.concatenate(list(read_blocks(info)), axis=1)[0], voice) > 0.9


def test_a_layout_that_the_encoder_lacks_becomes_stereo(tmp_path: Path) -> None:
    channels, voice = surround("octagonal", 2)
    write_audio(tmp_path / "speech.wav", channels, RATE, layout="octagonal")
    write_with_sound(tmp_path / "out.mp4", tmp_path / "speech.wav")
    info = probe_audio(tmp_path / "out.mp4")
    assert info.layout == "stereo"
    for ear in np.concatenate(list(read_blocks(info)), axis=1):
        assert likeness(ear, voice) > 0.9


def test_more_channels_than_can_be_meant_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.wav"
    write_audio(path, tone(0.1), layout="mono")
    data = bytearray(path.read_bytes())
    data[22:24] = (212).to_bytes(2, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError, match="212 channels, expected 1 to 64"):
        load(path)


def test_reversed_polarity_is_no_silence(tmp_path: Path) -> None:
    voice = 2 * speech_like(1.0, RATE)
    write_audio(tmp_path / "out_of_phase.wav", np.stack([voice, -voice]), RATE)
    got = load(tmp_path / "out_of_phase.wav", RATE).samples
    assert abs(likeness(got, voice)) > 0.99
    assert power(got) > 0.8 * power(voice)


def test_reversed_polarity_for_a_while() -> None:
    """The mixture is taken up again after the place where it cancelled out."""
    mixer = SpeechMixer(("FL", "FR"), RATE)
    buzz = tone(6.0, 200, RATE)
    sign = np.where((np.arange(len(buzz)) // (2 * RATE)) == 1, -1, 1)
    both = np.stack([buzz, sign * buzz]).astype(np.float32)
    got = np.concatenate([mixer.mix(block) for block in np.split(both, 300, axis=1)])
    for start_s in (0.0, 2.8, 4.8):
        part = slice(round(start_s * RATE), round((start_s + 1.2) * RATE))
        assert power(got[part]) > 0.9 * power(buzz)


def test_one_voice_per_side_is_mixed_evenly() -> None:
    mixer = SpeechMixer(("FL", "FR"), RATE)
    sides = np.stack([tone(1.0, 200, RATE), tone(1.0, 333, RATE)])
    got = np.concatenate([mixer.mix(block) for block in np.split(sides, 50, axis=1)])
    np.testing.assert_allclose(got, sides.mean(axis=0), atol=1e-6)


def test_dialogue_in_the_centre_is_heard_without_the_music(tmp_path: Path) -> None:
    channels = np.stack([0.8 * tone(1.0, 90 + 60 * c, RATE) for c in range(6)])
    voice = 2 * speech_like(1.0, RATE)
    channels[2] = voice
    write_audio(tmp_path / "film.wav", channels, RATE, layout="5.1")
    got = load(tmp_path / "film.wav", RATE).samples
    assert likeness(got, voice) > 0.99
    channels[2] = 0
    channels[:2] = voice
    channels[3:] = 0
    write_audio(tmp_path / "upmixed.wav", channels, RATE, layout="5.1")
    assert likeness(load(tmp_path / "upmixed.wav", RATE).samples, voice) > 0.99


def test_weights_are_those_of_bs_775() -> None:
    left, right = stereo_weights(("FL", "FR", "FC", "LFE", "SL", "SR")) * (1 + 2 * 0.5**0.5)
    np.testing.assert_allclose(left, [1, 0, 0.5**0.5, 0, 0.5**0.5, 0])
    np.testing.assert_allclose(right, [0, 1, 0.5**0.5, 0, 0, 0.5**0.5])
    np.testing.assert_allclose(stereo_weights(("NONE",) * 4), np.full((2, 4), 0.25))
    np.testing.assert_allclose(stereo_weights(("LFE",)), np.ones((2, 1)))
    np.testing.assert_allclose(stereo_weights(("AMBI0", "AMBI1")), [[1, 0], [1, 0]])
    loud = np.ones((6, 10), np.float32)
    assert mix(stereo_weights(("FL", "FR", "FC", "LFE", "SL", "SR")), loud).max() <= 1 + 1e-6
