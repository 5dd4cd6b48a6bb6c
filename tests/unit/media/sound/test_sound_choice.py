"""Which of a file's sounds is heard, when it begins, and how much of it is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from retalking.errors import MediaError
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.sound.audio import load, read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.video import VideoReader
from tests.media import speech_like, tone, write_audio, write_video


def write_talk(
    path: Path, shifts_s: Sequence[float], picture_s: float = 0.0, chosen: int | None = None
) -> list[np.ndarray]:
    """A video of one second that begins at ``picture_s``, with a tone from each of ``shifts_s``."""
    sounds = [tone(0.6, 200 * (number + 1)) for number in range(len(shifts_s))]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        streams = [container.add_stream("aac", rate=16000, layout="mono") for _ in sounds]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == chosen else Disposition(0)
        for number in range(25):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([100]) * plane.buffer_size)
            frame.pts = number + round(picture_s * 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for stream, sound, shift_s in zip(streams, sounds, shifts_s, strict=True):
            block = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
            block.sample_rate, block.pts = 16000, round(shift_s * 16000)
            container.mux(stream.encode(block))
            container.mux(stream.encode(None))
    return sounds


def begins_s(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(samples) > 0.1)) / 16000


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("sound_s", "picture_s", "expected_s"), [(0.4, 0.0, 0.4), (0.0, 0.2, -0.2), (0.6, 0.6, 0.0)]
)
def test_sound_keeps_its_place_beside_the_picture(
    tmp_path: Path, suffix: str, sound_s: float, picture_s: float, expected_s: float
) -> None:
    path = tmp_path / f"talk{suffix}"
    write_talk(path, [sound_s], picture_s)
    got = load(path).samples
    info = probe_audio(path)
    # Matroska rounds to milliseconds, and AAC begins up to one packet (64 ms) of silence early.
    assert abs(len(got) / 16000 - (0.6 + expected_s)) < 0.13
    assert abs(begins_s(got) - max(0, expected_s)) < 0.01
    assert abs(np.concatenate(list(read_blocks(info)), axis=1).shape[1] - len(got)) < 2


def test_late_sound_is_late_in_the_output(tmp_path: Path) -> None:
    write_talk(tmp_path / "late.mp4", [0.4])
    write_video(tmp_path / "face.mp4", 25)
    with VideoReader(tmp_path / "face.mp4") as reader:
        for suffix in (".mp4", ".mkv", ".mov"):
            out = tmp_path / f"out{suffix}"
            track = AudioTrack(tmp_path / "late.mp4", duration_s=1.0)
            with VideoWriter(out, reader.info, audio=track) as writer:
                for chunk in reader.read_chunks(25):
                    writer.write(chunk.rgb, chunk.pts)
            assert abs(begins_s(load(out).samples) - 0.4) < 0.01


def test_sound_before_the_first_picture_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_talk(tmp_path / "talk.mkv", [0.0], picture_s=0.4)
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "talk.mkv")
    assert "come before its first picture" in caplog.text


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_default_track_is_heard(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"two{suffix}"
    sounds = write_talk(path, [0.0, 0.0], chosen=1)
    with caplog.at_level(logging.WARNING):
        got = load(path).samples
    assert "2 audio tracks, hearing number 1" in caplog.text
    first = load(path, track=0).samples
    for samples, sound in ((got, sounds[1]), (first, sounds[0])):
        assert abs(np.vdot(samples[2000:8000], np.roll(sound, 0)[2000:8000])) > 100
    with pytest.raises(MediaError, match="--audio-track 2, but it has 2 audio tracks"):
        load(path, track=2)


def test_the_chosen_track_is_the_one_that_is_written(tmp_path: Path) -> None:
    sounds = write_talk(tmp_path / "two.mp4", [0.0, 0.0], chosen=1)
    with VideoReader(tmp_path / "two.mp4") as reader:
        for number in (0, None):
            track = AudioTrack(tmp_path / "two.mp4", number=number)
            with VideoWriter(tmp_path / "out.mp4", reader.info, audio=track) as writer:
                for chunk in reader.read_chunks(25):
                    writer.write(chunk.rgb, chunk.pts)
            got = load(tmp_path / "out.mp4").samples[2000:8000]
            loud = [abs(np.vdot(got, sound[2000:8000])) for sound in sounds]
            assert int(np.argmax(loud)) == (1 if number is None else number)


@pytest.mark.parametrize("rate_hz", [1, 2_000_000_000])
def test_a_sample_rate_that_cannot_be_meant_is_refused(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "odd.wav"
    write_audio(path, tone(0.5))
    data = bytearray(path.read_bytes())
    data[24:28] = rate_hz.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError, match=f"{rate_hz} samples a second, expected 2000 to 768000"):
        load(path)


def write_with_holes(path: Path, hole_s: float, count: int) -> None:
    """Packets of sound, each so much later than the one before."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        packets = []
        frame = av.AudioFrame.from_ndarray(tone(count * 0.3)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 16000, 0
        packets += stream.encode(frame) + stream.encode(None)
        for number, packet in enumerate(packets[:count]):
            packet.pts = packet.dts = round(number * hole_s / packet.time_base)
            container.mux(packet)


def test_holes_that_make_hours_of_nothing_are_refused(tmp_path: Path) -> None:
    write_with_holes(tmp_path / "gaps.mkv", 59.0, 60)
    with pytest.raises(MediaError, match="its time stamps leave holes of"):
        load(tmp_path / "gaps.mkv")
    assert load(tmp_path / "gaps.mkv", max_seconds=100).duration_s == 100


def test_reading_stops_where_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "long.wav", speech_like(20.0))
    read: list[int] = []

    def counting(info: object) -> object:
        for block in read_blocks(info):  # type: ignore[arg-type]
            read.append(block.shape[1])
            yield block

    monkeypatch.setattr(audio, "read_blocks", counting)
    assert load(tmp_path / "long.wav", max_seconds=1).duration_s == 1
    assert sum(read) < 17000 + 4096
    monkeypatch.setattr(audio, "LONGEST_S", 10.0)
    with pytest.raises(MediaError, match="hours of sound; cut it, or set --max-seconds"):
        load(tmp_path / "long.wav")
