"""Files of named arrays that are read back exactly, or known to be damaged.

NumPy's own format notices a changed byte in the numbers, but not everywhere: a flipped bit in the
length of an array gives other numbers without a word. Here a hash of the whole comes first.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retalking.files import replacing

SUFFIX = ".arrays"
_HEADER = b"retalking arrays 1 "
_HASH_LENGTH = 64


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a file that only its owner may read. Atomic.

    Raises:
        MediaError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getbuffer()
    digest = hashlib.sha256(content).hexdigest().encode()
    with (
        replacing(path) as partial,
        open(partial, "wb") as file,
    ):
        os.chmod(partial, 0o600)
        file.write(_HEADER + digest + b"\n")
        file.write(content)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of ``write_arrays``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file, or not what was written.
    """
    data = path.read_bytes()
    start = len(_HEADER) + _HASH_LENGTH + 1
    if not data.startswith(_HEADER) or len(data) < start:
        raise ValueError("not a file of arrays")
    content = memoryview(data)[start:]
    if hashlib.sha256(content).hexdigest().encode() + b"\n" != data[len(_HEADER) : start]:
        raise ValueError("its hash does not fit")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
