"""Files of named arrays that are read back exactly, or known to be damaged.

NumPy's own format notices a changed byte in the numbers, but not everywhere: a flipped bit in the
length of an array gives other numbers without a word. Here a hash of the whole comes first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from retalking.arrays import scratch
from retalking.files import replacing

SUFFIX = ".arrays"
_HEADER = b"retalking arrays 1 "
_HASH_LENGTH = 64
_AT_ONCE = 2**20
"""Bytes of a file that are held at once; a smaller one is not written twice."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a file that only its owner may read. Atomic.

    Raises:
        MediaError: the file cannot be written.
    """
    with tempfile.SpooledTemporaryFile(_AT_ONCE) as content:
        with zipfile.ZipFile(content, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_array(member, array)
        content.seek(0)
        digest = _digest(content)
        content.seek(0)
        with replacing(path) as partial, open(partial, "wb") as file:
            os.chmod(partial, 0o600)
            file.write(_HEADER + digest + b"\n")
            shutil.copyfileobj(content, file, _AT_ONCE)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of ``write_arrays``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file, or not what was written.
    """
    start = len(_HEADER) + _HASH_LENGTH + 1
    with open(path, "rb") as file:
        head = file.read(start)
        if not head.startswith(_HEADER) or len(head) < start:
            raise ValueError("not a file of arrays")
        if _digest(file) + b"\n" != head[len(_HEADER) :]:
            raise ValueError("its hash does not fit")
        file.seek(start)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: scratch.keep(arrays[name]) for name in arrays}


def _write_array(file: IO[bytes], array: NDArray[Any]) -> None:
    """Write an array in NumPy's format, block by block."""
    header = np.lib.format.header_data_from_array_1_0(array) | {"fortran_order": False}
    np.lib.format.write_array_header_1_0(file, header)
    rows = np.atleast_1d(array)
    for part in scratch.blocks(len(rows)):
        file.write(rows[part].tobytes())


def _digest(file: IO[bytes]) -> bytes:
    """Return the hash of what is left of a file, in hexadecimal digits."""
    found = hashlib.sha256()
    while part := file.read(_AT_ONCE):
        found.update(part)
    return found.hexdigest().encode()
