"""Speech comes in as librosa would read it, from any container, with clear errors."""

from __future__ import annotations

import dataclasses
import logging
import tracemalloc
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
from scipy.signal import correlate

from retalking.errors import MediaError
from retalking.media.sound import audio
from retalking.media.sound.audio import load, read_blocks
from retalking.media.sound.audio_info import probe_audio
from tests.media import speech_like, tone, write_audio, write_video


def lag_s(got: np.ndarray, expected: np.ndarray, rate_hz: int) -> float:
    """Seconds by which ``got`` comes later than ``expected``."""
    return (int(correlate(got, expected, "full", "fft").argmax()) - len(expected) + 1) / rate_hz


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_load_equals_librosa(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "a voice.v1.wav"
    write_audio(path, speech_like(1.37, rate_hz), rate_hz)
    clip = load(path)
    expected, _ = librosa.load(path, sr=16000)
    assert clip.sample_rate_hz == 16000
    assert abs(clip.duration_s - 1.37) < 1e-3
    np.testing.assert_allclose(clip.samples, expected, atol=1e-6)


def test_stereo_becomes_the_mean(tmp_path: Path) -> None:
    left, right = tone(0.5, 300), tone(0.5, 500)
    write_audio(tmp_path / "stereo.wav", np.stack([left, right]))
    samples = load(tmp_path / "stereo.wav").samples
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".m4a", "aac"),
        (".mp3", "libmp3lame"),
        (".ogg", "libopus"),
        (".flac", "flac"),
        (".mkv", "aac"),
        (".mov", "pcm_s16le"),
        (".webm", "libopus"),
    ],
)
def test_codec_delay_is_taken_off(tmp_path: Path, suffix: str, codec: str) -> None:
    voice = speech_like(1.5, 48000)
    path = tmp_path / f"voice{suffix}"
    write_audio(path, voice, 48000, codec)
    got = load(path, 48000).samples
    assert abs(lag_s(got, voice, 48000)) < 0.001
    assert abs(len(got) - len(voice)) <= 2048
    assert np.corrcoef(got[: len(voice)], voice[: len(got)])[0, 1] > 0.9


def test_the_sound_of_a_video(tmp_path: Path) -> None:
    voice = speech_like(0.8)
    write_video(tmp_path / "talk.mp4", 20, audio=voice)
    info = probe_audio(tmp_path / "talk.mp4")
    assert (info.codec, info.sample_rate_hz, info.num_channels) == ("aac", 16000, 1)
    assert abs(lag_s(load(tmp_path / "talk.mp4").samples, voice, 16000)) < 0.001


def test_padding_of_the_last_packet_is_left_out(tmp_path: Path) -> None:
    """A video's own sound is not longer than its pictures, so dubbing adds no frame."""
    write_video(tmp_path / "talk.mp4", 20, audio=speech_like(0.8))
    assert len(load(tmp_path / "talk.mp4").samples) == 12800


def test_a_header_that_promises_too_little_cuts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recording.m4a"
    voice = speech_like(1.0)
    write_audio(path, voice, codec="aac")
    whole = load(path).samples
    stale = dataclasses.replace(probe_audio(path), duration_s=0.25)
    monkeypatch.setattr(audio, "probe_audio", lambda *_: stale)
    got = load(path).samples
    np.testing.assert_array_equal(got[: len(whole)], whole)
    assert len(got) >= len(voice)


def test_blocks_keep_rate_and_channels(tmp_path: Path) -> None:
    channels = np.stack([tone(0.3, hz, 44100) for hz in (200, 400)])
    write_audio(tmp_path / "two.flac", channels, 44100, "flac")
    blocks = list(read_blocks(probe_audio(tmp_path / "two.flac")))
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), channels, atol=1e-4)


def test_lost_sound_becomes_silence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    write_audio(whole, tone(2.0), codec="flac")
    holed = tmp_path / "holed.mkv"
    with av.open(str(whole)) as source, av.open(str(holed), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.pts is not None and not 0.5 < packet.time_base * packet.pts < 1.0:
                packet.stream = stream
                target.mux(packet)
    samples = load(holed).samples
    assert abs(len(samples) - 32000) < 1200
    assert np.abs(samples[10500:15500]).max() < 1e-3
    np.testing.assert_allclose(samples[17000:31000], load(whole).samples[17000:31000], atol=0.02)


def test_damaged_packets_are_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "voice.m4a"
    write_audio(path, speech_like(2.0), codec="aac")
    data = bytearray(path.read_bytes())
    middle = data.find(b"mdat") + 2000
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        clip = load(path)
    assert clip.duration_s > 1.5
    assert [r.message for r in caplog.records if "left out" in r.message] == [
        r.message for r in caplog.records
    ]


def test_silence_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_audio(tmp_path / "quiet.wav", np.zeros(1600))
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path / "quiet.wav").duration_s == 0.1
    assert "silent throughout" in caplog.text


def test_bad_audio_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"absent\.wav: no such file"):
        load(tmp_path / "absent.wav")
    with pytest.raises(MediaError, match="is a directory"):
        load(tmp_path)
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(MediaError, match="the file is empty"):
        load(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("no sound here " * 50)
    with pytest.raises(MediaError, match="not a media file"):
        load(tmp_path / "text.wav")
    write_video(tmp_path / "mute.mp4", 3)
    with pytest.raises(MediaError, match="has no audio stream"):
        load(tmp_path / "mute.mp4")
    write_audio(tmp_path / "none.wav", np.zeros(0))
    with pytest.raises(MediaError, match="zero length"):
        load(tmp_path / "none.wav")
    for value in (np.nan, np.inf):
        samples = tone(0.2)
        samples[100] = value
        write_audio(tmp_path / "odd.wav", samples, codec="pcm_f32le")
        with pytest.raises(MediaError, match="NaN or infinite"):
            load(tmp_path / "odd.wav")


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.wav"
    write_audio(path, tone(0.1))

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(MediaError, match=r"locked\.wav: cannot be opened: Permission denied"):
        load(path)


def test_long_audio_is_not_held_in_memory(tmp_path: Path) -> None:
    write_audio(tmp_path / "long.wav", np.tile(tone(1.0, rate_hz=8000), 240), 8000)
    tracemalloc.start()
    clip = load(tmp_path / "long.wav", 8000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.duration_s == 240
    assert peak < 0.5 * clip.samples.nbytes
