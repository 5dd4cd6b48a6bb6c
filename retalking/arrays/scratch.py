"""Numbers of every frame, kept where they take no memory: in temporary files without a name.

What a job knows of a frame fits in a few kilobytes, of an hour's frames in hundreds of megabytes.
Arrays of more than one megabyte are therefore mapped from files, which the system removes with the
process however it ends. What is looked at block by block, and let go of in between, takes the
memory of a block. ``TMPDIR`` says where the files are; without room there, memory is taken.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE_BYTES = 2**20
BLOCK_FRAMES = 1024
"""Frames that are worked on at once, so that temporary values do not add up over an hour."""
SCATTERED = 128
"""Frames that lie anywhere, looked at at once: the system reads 64 kB around each."""

_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_lock = threading.Lock()

Number = TypeVar("Number", bound=np.generic)


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros, in a file if it is large."""
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if num_bytes >= _LARGE_BYTES:
        with suppress(OSError), _temporary_file() as file:
            _make_room(file, num_bytes)
            return np.frombuffer(_map(file, num_bytes), dtype).reshape(shape)
    return np.zeros(shape, dtype)


def copy(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy ``[N, ...]`` block by block."""
    size = max(_LARGE_BYTES // max(target[:1].nbytes, 1), 1)
    for rows in blocks(len(target), size):
        target[rows] = source[rows]


def keep(array: NDArray[Number]) -> NDArray[Number]:
    """Return an array ``[N, ...]``, moved to a file if it is large."""
    if array.nbytes < _LARGE_BYTES:
        return array
    kept = zeros(array.shape, array.dtype)
    copy(array, kept)
    return kept


def take(array: NDArray[Number], chosen: NDArray[Any] | slice) -> NDArray[Number]:
    """Return ``array[chosen]`` of rows ``[N, ...]``, as a copy that is in a file if it is large."""
    places = np.arange(len(array))[chosen]
    taken = zeros((len(places), *array.shape[1:]), array.dtype)
    for rows in blocks(len(places), SCATTERED):
        taken[rows] = array[places[rows]]
    return taken


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """Yield parts of ``count`` rows, and let go after each."""
    size = size or BLOCK_FRAMES
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
        let_go()


def let_go() -> None:
    """Give back the memory of all pages of our files; what is looked at again, is read again."""
    if not hasattr(mmap.mmap, "madvise"):  # Windows
        return
    with _lock:
        mappings = list(_mappings)
    for mapping in mappings:
        mapping.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Rows that are added one after the other, most of them in a file if they are many."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._num_written = 0
        self._has_room = True

    def add(self, rows: NDArray[Any]) -> None:
        """Add rows ``[N, *shape]``, or one ``[*shape]``."""
        self._held += np.ascontiguousarray(rows, self._dtype).tobytes()
        if len(self._held) >= _LARGE_BYTES and self._has_room:
            self._write()

    def array(self) -> NDArray[Any]:
        """Return all rows ``[N, *shape]``; nothing can be added afterwards."""
        if self._file is not None and self._held and self._has_room:
            self._write()
        if self._file is None:
            found = np.frombuffer(self._held, self._dtype)
        elif self._has_room:
            found = np.frombuffer(_map(self._file, self._num_written), self._dtype)
        else:
            self._file.seek(0)
            written = self._file.read(self._num_written)
            found = np.frombuffer(bytearray(written + self._held), self._dtype)
        return found.reshape(-1, *self._shape)

    def _write(self) -> None:
        try:
            self._file = self._file or _temporary_file()
            _make_room(self._file, self._num_written + len(self._held))
            self._file.seek(self._num_written)
            self._file.write(self._held)
            self._file.flush()
        except OSError:
            self._has_room = False
            return
        self._num_written += len(self._held)
        self._held.clear()


def _temporary_file() -> IO[bytes]:
    return cast(IO[bytes], tempfile.TemporaryFile(prefix="retalking-"))


def _make_room(file: IO[bytes], num_bytes: int) -> None:
    """Let a file have so many bytes on the disk; a page without room would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, num_bytes)
        return
    file.seek(0, os.SEEK_END)
    while (missing := num_bytes - file.tell()) > 0:
        file.write(bytes(min(missing, _LARGE_BYTES)))
    file.flush()


def _map(file: IO[bytes], num_bytes: int) -> mmap.mmap:
    mapping = mmap.mmap(file.fileno(), num_bytes)
    with _lock:
        _mappings.add(mapping)
    return mapping
