"""Videos that are cut off, damaged, or none: what can be had, or one line."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from retalking.errors import MediaError
from retalking.media.images import save_image
from retalking.media.video_info import probe
from tests.media import moving_picture, speech_like, tone, write_audio, write_video
from tests.unit.media.reading import read_all, read_order


def test_missing_timestamps_are_repaired(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "raw.h264"
    write_video(path, 8)
    with caplog.at_level(logging.WARNING):
        _, pts = read_all(path)
    np.testing.assert_array_equal(np.diff(pts * float(probe(path).time_base)).round(6), 0.04)
    assert "repaired 7 missing" in caplog.text


def test_restarting_timestamps_go_on(tmp_path: Path) -> None:
    """Two transport streams joined by ``cat``: the clock starts again in the middle."""
    write_video(tmp_path / "a.ts", 50, codec="mpeg2video", codec_options={"bf": "0"})
    part = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    rgb, pts = read_all(tmp_path / "joined.ts")
    assert len(rgb) == 100
    assert (np.diff(pts) > 0).all()
    assert abs((pts[-1] - pts[0]) / 90000 - 4.0) < 0.2
    order = [99, 98, 60, 59, 10, 9, 8]
    np.testing.assert_array_equal(read_order(tmp_path / "joined.ts", order, pts, 3), rgb[order])


def test_truncated_video_gives_what_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_video(tmp_path / "whole.mkv", 60, codec_options={"g": "10"})
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    whole, _ = read_all(tmp_path / "whole.mkv")
    with caplog.at_level(logging.WARNING):
        rgb, pts = read_all(tmp_path / "cut.mkv")
    assert 20 < len(rgb) < 55
    np.testing.assert_array_equal(rgb[:20], whole[:20])
    assert len(caplog.records) <= 1
    order = list(range(len(rgb) - 1, -1, -1))
    np.testing.assert_array_equal(read_order(tmp_path / "cut.mkv", order, pts, 9), rgb[order])


def test_damaged_packets_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 40, codec_options={"g": "10"})
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in (places[12], places[25]):
        data[position : position + size] = b"\xff" * size
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        rgb, pts = read_all(path)
    assert 36 <= len(rgb) < 40
    assert (np.diff(pts) > 0).all()
    assert sum("damaged video packets were left out" in r.message for r in caplog.records) == 1


def test_a_file_that_shrank_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 6)
    _, pts = read_all(path)
    longer = np.append(pts, pts[-1] + 512)
    with pytest.raises(MediaError, match="frame 6 of 7 can no longer be read"):
        read_order(path, [5, 6], longer, 4)
    with pytest.raises(ValueError, match=r"indices: got 0\.\.6 of 6"):
        read_order(path, [0, 6], pts, 4)


def test_files_without_video_are_told(tmp_path: Path) -> None:
    write_audio(tmp_path / "voice.wav", tone(0.2))
    with pytest.raises(MediaError, match=r"voice\.wav: has no video stream"):
        probe(tmp_path / "voice.wav")
    (tmp_path / "notes.mp4").write_text("not a film " * 100)
    with pytest.raises(MediaError, match=r"notes\.mp4: not a media file"):
        probe(tmp_path / "notes.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(MediaError, match="the file is empty"):
        probe(tmp_path / "empty.mp4")
    with pytest.raises(MediaError, match=r"absent\.mp4: no such file"):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(MediaError, match="is a directory"):
        probe(tmp_path)


def test_recording_without_an_index_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", 40)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.rfind(b"moov") - 4])
    with pytest.raises(MediaError, match=r"cut\.mp4: .*cut off before its index"):
        probe(tmp_path / "cut.mp4")


def test_video_of_which_nothing_decodes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, 5)
    data = bytearray(path.read_bytes())
    start, end = data.find(b"mdat") + 4, data.rfind(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError, match=r"x\.mp4: no frame of its video can be decoded"):
        probe(path)


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        voice = container.add_stream("libmp3lame", rate=16000, layout="mono")
        art = container.add_stream("png", rate=1)
        art.width, art.height, art.pix_fmt = 64, 64, "rgb24"
        art.disposition = Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(speech_like(0.5)[None], "fltp", "mono")
        sound.sample_rate, sound.pts = 16000, 0
        picture = av.VideoFrame.from_ndarray(moving_picture(0), format="rgb24")
        for packet in [*art.encode(picture), *art.encode(None)]:
            container.mux(packet)
        for packet in [*voice.encode(sound), *voice.encode(None)]:
            container.mux(packet)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(MediaError, match="has no video stream"):
        probe(path)


def test_damaged_files_give_frames_or_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    wholes = [tmp_path / name for name in ("v.mp4", "v.mkv", "v.gif", "i.png", "i.tiff", "i.jpg")]
    write_video(wholes[0], 6)
    write_video(wholes[1], 6)
    write_video(wholes[2], 6, codec="gif", pixel_format="rgb8")
    for path in wholes[3:]:
        save_image(path, moving_picture(0))
    told = []
    for number in range(60):
        whole = wholes[number % len(wholes)]
        data = bytearray(whole.read_bytes())
        if number % 2:
            del data[rng.integers(1, len(data)) :]
        for place in rng.integers(0, min(600, len(data)), 9):
            data[place] = rng.integers(256)
        broken = whole.with_stem("broken")
        broken.write_bytes(bytes(data))
        try:
            rgb, pts = read_all(broken)
            assert len(rgb) == len(pts) > 0
        except MediaError as line:
            told.append(str(line))
    assert 20 < len(told) < 60
    assert all(line.startswith(f"{tmp_path}/broken.") and "\n" not in line for line in told)
