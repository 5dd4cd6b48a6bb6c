"""Files that appear complete or not at all: written under a partial name, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retalking.errors import MediaError


def check_writable(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises:
        MediaError: ``path`` is a directory, or its directory is missing or not writable.
    """
    folder = path.parent
    if path.is_dir():
        raise MediaError(f"{path}: is a directory; give the name of the file to write")
    if not folder.is_dir():
        raise MediaError(f"{path}: the directory {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"{path}: the directory {folder} is not writable")


def partial_path(path: Path) -> Path:
    """A hidden name beside ``path``, with its suffix, to write to before `commit`."""
    return path.with_name(f".retalking-{secrets.token_hex(6)}.part{path.suffix}")


def commit(partial: Path, path: Path) -> None:
    """Put the finished ``partial`` in the place of ``path``, once all of it is on the disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to; the file takes the place of ``path`` if the block succeeds.

    Raises:
        MediaError: ``path`` cannot be written; nothing is left behind.
    """
    check_writable(path)
    partial = partial_path(path)
    try:
        yield partial
        commit(partial, path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
