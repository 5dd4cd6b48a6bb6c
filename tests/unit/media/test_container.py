"""A media file is opened for what is in it, never for what it points to."""

from __future__ import annotations

from pathlib import Path

import pytest

from retalking.errors import MediaError
from retalking.media.sound.audio import load
from retalking.media.video import VideoReader
from tests.media import tone, write_audio, write_video

PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile 'secret.wav'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>\n',
    "imf": '<?xml version="1.0"?>\n<CompositionPlaylist></CompositionPlaylist>\n',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["x.mp4", "x.mp3", "x.m3u8"])
def test_a_list_of_files_is_no_media_file(tmp_path: Path, kind: str, name: str) -> None:
    write_audio(tmp_path / "secret.wav", tone(0.2))
    (tmp_path / name).write_text(PLAYLISTS[kind])
    with pytest.raises(MediaError, match=r"not a (kind of )?media file"):
        load(tmp_path / name)
    with pytest.raises(MediaError, match=r"not a (kind of )?media file"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts", ".mpg", ".flv", ".nut"])
def test_real_containers_are_read_under_any_name(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg1video" if suffix == ".mpg" else "libx264"
    write_video(tmp_path / f"clip{suffix}", 30, codec=codec)
    (tmp_path / f"clip{suffix}").rename(tmp_path / "clip")
    with VideoReader(tmp_path / "clip") as reader:
        assert sum(len(chunk) for chunk in reader.read_chunks(8)) == 30
