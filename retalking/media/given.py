"""Videos and speeches that programs hand over in other forms than as files.

They become temporary files without loss, so that everything works with them that works with files:
playing backward, caches named by content, sound that is copied.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from retalking.errors import MediaError
from retalking.media.sound.wav import write_wav
from retalking.types import FloatArray, UInt8Array


@dataclass(frozen=True)
class Frames:
    """A video in memory, or one that is just being made.

    Attributes:
        rgb: pictures uint8 ``[H, W, 3]`` of one size, as an array ``[T, H, W, 3]`` or one by one.
        rate_hz: pictures per second.
    """

    rgb: UInt8Array | Iterable[UInt8Array]
    rate_hz: Fraction | float


@dataclass(frozen=True)
class Sound:
    """Speech in memory.

    Attributes:
        samples: float ``[N]``, or ``[C, N]`` with one or two channels, in [-1, 1].
        sample_rate_hz: samples per second.
    """

    samples: FloatArray
    sample_rate_hz: int


@dataclass(frozen=True)
class LiveSound:
    """Speech that is still being spoken.

    Attributes:
        blocks: float ``[N]`` or ``[C, N]`` each, in [-1, 1], as they come; waiting for the next is
            the iterator's business. They may be of any length; those of 0.2 s keep up best.
        sample_rate_hz: samples per second.
    """

    blocks: Iterable[FloatArray]
    sample_rate_hz: int


Given = str | os.PathLike[str] | Frames | Sound | BinaryIO | io.BytesIO | InputContainer
"""A path, media in memory, an open binary file, or a container that PyAV has opened."""


@dataclass(frozen=True)
class GivenFile:
    """A file that is there as long as this is.

    Attributes:
        path: of the file.
        folder: removes what was written for it when it is forgotten; ``None`` for a user's file.
    """

    path: Path
    folder: object = None


def as_file(given: Given) -> GivenFile:
    """Return a file of what was given.

    Raises:
        MediaError: pictures or samples of a form that is not known, or a container that was opened
            from something that cannot be read again.
    """
    if isinstance(given, InputContainer):
        return as_file(_behind(given))
    if isinstance(given, str | os.PathLike):
        return GivenFile(Path(given))
    folder = _Folder()
    path = folder.path / "given"
    if isinstance(given, Frames):
        path = path.with_suffix(".mkv")
        _write_frames(path, given)
    elif isinstance(given, Sound):
        path = path.with_suffix(".wav")
        _write_sound(path, given)
    elif hasattr(given, "read"):
        with path.open("wb") as file:
            given.seek(0)
            shutil.copyfileobj(given, file)
    else:
        raise MediaError(
            f"got a {type(given).__name__}, expected a path, Frames, Sound, an open binary file or "
            "a PyAV container"
        )
    return GivenFile(path, folder)


class _Folder:
    """A temporary folder that goes when it is forgotten, or when the program ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="retalking-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _behind(container: InputContainer) -> Given:
    """What a container was opened from; its position does not matter."""
    source = getattr(container.file, "file", None)
    if source is not None:
        if not (hasattr(source, "seek") and source.seekable()):
            raise MediaError("a container over a stream that cannot be read again; give a file")
        return source
    path = Path(container.name.removeprefix("file:"))
    if not path.is_file():
        raise MediaError(f"{container.name}: a container that is no file; save it as one first")
    return path


def _write_frames(path: Path, frames: Frames) -> None:
    rate = Fraction(frames.rate_hz).limit_denominator(1001 * 1000)
    if not 0 < rate <= 1000:
        raise MediaError(f"Frames.rate_hz: got {frames.rate_hz}, expected more than 0 up to 1000")
    size: tuple[int, ...] | None = None
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.pix_fmt = "bgr0"
        for number, rgb in enumerate(frames.rgb):
            picture = np.asarray(rgb)
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                got = f"{picture.dtype}{list(picture.shape)}"
                raise MediaError(f"Frames.rgb: got {got}, expected uint8[H, W, 3] of each picture")
            if size is None:
                size = picture.shape
                stream.height, stream.width = size[:2]
            elif picture.shape != size:
                raise MediaError(
                    f"Frames.rgb: picture {number} is {picture.shape[1]}x{picture.shape[0]}, "
                    f"expected {size[1]}x{size[0]} as the first"
                )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        if size is None:
            raise MediaError("Frames.rgb: no picture in it, expected one at least")
        container.mux(stream.encode(None))


def _write_sound(path: Path, sound: Sound) -> None:
    samples = np.asarray(sound.samples)
    channels = np.atleast_2d(samples)
    if samples.dtype.kind != "f" or channels.ndim != 2 or len(channels) > 2:
        got = f"{samples.dtype}{list(samples.shape)}"
        raise MediaError(f"Sound.samples: got {got}, expected float[N] or float[2, N] in [-1, 1]")
    write_wav(path, [channels.astype(np.float32)], sound.sample_rate_hz, len(channels))
