"""The sound of an output file: in step, copied where it fits, cut and padded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import correlate

from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio import load, read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.audio_track import AudioTrack
from tests.media import speech_like, tone, write_audio
from tests.unit.media.output.writing import LOSSLESS, even_pts, make_info, pictures, read_all

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
