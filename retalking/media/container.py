"""Opening and decoding media files with PyAV; a failure becomes one line that names the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error

from retalking.errors import MediaError

_log = logging.getLogger(__name__)

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2 matroska,webm avi mpegts mpeg mpegvideo flv asf mxf gxf nut rm dv ivf"
    " obu ogg dsf h264 hevc vvc m4v cavsvideo vc1 dirac mjpeg gif apng png_pipe webp_pipe av1 av2"
    " yuv4mpegpipe wav w64 mp3 aac latm loas flac aiff au caf amr amrnb amrwb ac3 eac3 ac4 dts"
    " dtshd truehd mlp ape tta wv tak mpc mpc8 shn spdif sbc aptx aptx_hd gsm voc ircam nsv ea"
    " smk bink roq vivo 4xm film_cpk r3d live_flv kux swf pva wtv ty iff jpeg_pipe jpegxl_pipe"
)
"""Formats that hold their pictures and sounds themselves. The others that FFmpeg reads (playlists,
lists of files, session descriptions) open further files, or addresses, on behalf of this one."""
_OPTIONS = {"format_whitelist": ",".join(_FORMATS.split()), "protocol_whitelist": "file"}


@contextmanager
def open_input(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a media file for reading.

    Raises:
        MediaError: missing, a directory, empty, not readable, or no media file.
    """
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    if path.is_dir():
        raise MediaError(f"{path}: is a directory, expected a media file")
    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: the file is empty")
        # "file:" keeps names with colons or percent signs from being taken for URLs and patterns.
        container = av.open(f"file:{path}", metadata_errors="replace", container_options=_OPTIONS)
    except av.error.InvalidDataError as error:
        raise MediaError(
            f"{path}: not a media file that can be read, or cut off before its index was written"
        ) from error
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{path}: not a kind of media file that is read; of a playlist or list of files, give "
            "the file that it names"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror or error}") from error
    except ValueError as error:
        raise MediaError(f"{path}: cannot be opened: {error}") from error
    with container:
        yield container


def decode_frames(container: av.container.InputContainer, stream: Any, path: Path) -> Iterator[Any]:
    """Yield the decoded frames of ``stream`` in presentation order from where the file stands.

    Packets that cannot be decoded are left out, with one warning at the end.
    """
    num_damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.error.FFmpegError as error:
            _log.warning("%s: reading stopped early: %s", path, error.strerror)
            break
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            num_damaged += 1
    if num_damaged:
        _log.warning("%s: %d damaged %s packets were left out", path, num_damaged, stream.type)
