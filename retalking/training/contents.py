"""What the paths in a configuration lead to: a store on a faster disk is still the same store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from retalking.errors import ConfigError

_NOT_CONTENT = "parts"  # more may be prepared for the clips of a store while it is in use
_BLOCK_BYTES = 1 << 22


def fingerprint_inputs(config: BaseModel) -> dict[str, str]:
    """Return a fingerprint of every file and prepared store that a configuration names.

    Returns:
        By dotted name; paths that lead nowhere are left out.

    Raises:
        ConfigError: a file is there but cannot be read.
    """
    found = {name: _fingerprint(path) for name, path in _paths_in(config, "")}
    return {name: fingerprint for name, fingerprint in found.items() if fingerprint}


def _paths_in(config: BaseModel, prefix: str) -> Iterator[tuple[str, Path]]:
    for name, value in config:
        if isinstance(value, Path):
            yield prefix + name, value
        elif isinstance(value, BaseModel):
            yield from _paths_in(value, f"{prefix}{name}.")


def _fingerprint(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        if path.is_file():
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        elif (path / "index.npy").is_file():
            index = np.load(path / "index.npy", mmap_mode="r")
            for name in index.dtype.names or ():
                if name != _NOT_CONTENT:
                    digest.update(np.ascontiguousarray(index[name]).tobytes())
        else:
            return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return digest.hexdigest()
