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
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise MediaError(
            f"{path}: not a media file that can be read, or cut off before its index was written"
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
