"""Files that appear complete or not at all, and lists of hashes that say what they are.

A file is written under a partial name, then renamed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retalking.errors import MediaError, WeightsError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PARTIAL = re.compile(r"\.retalking-(?P<machine>[0-9a-f]{6})[0-9a-f]{6}\.part(\.\w+)?")
_ABANDONED_S = 24 * 3600.0
_JUST_MADE_S = 0.5
"""Between its making and its lock a file looks as if it had no owner."""
LIST_OF_HASHES = "SHA256SUMS"
"""As ``sha256sum`` writes it; of the files that are in the folder with it."""


def check_writable(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises:
        MediaError: ``path`` is a directory, or its directory is missing or not writable.
    """
    folder = _place(path).parent
    if path.is_dir():
        raise MediaError(f"{path}: is a directory; give the name of the file to write")
    if not folder.is_dir():
        raise MediaError(f"{path}: the directory {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"{path}: the directory {folder} is not writable")


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside ``path``, or what it links to, with its suffix; for `commit`.

    The file is there, empty, and gone when the block ends, if it was not committed. What killed
    jobs have left in the folder is removed.

    Raises:
        MediaError: ``path`` is a link to itself.
        OSError: no file can be made there.
    """
    place = _place(path)
    remove_abandoned(place.parent)
    name = f".retalking-{_this_machine()}{secrets.token_hex(3)}.part{path.suffix}"
    partial = place.with_name(name)
    with _owned(partial):
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove partial files whose program has ended: at once if it ran here, else after a day."""
    for old in folder.glob(".retalking-*.part*"):
        found = _PARTIAL.fullmatch(old.name)
        if found is None:
            continue
        with suppress(OSError):
            here = found["machine"] == _this_machine()
            if time.time() - old.stat().st_mtime > _ABANDONED_S or (here and _has_no_owner(old)):
                old.unlink()


@contextmanager
def _owned(partial: Path) -> Iterator[None]:
    """Make a file and hold a lock on it, which the system lets go however the program ends."""
    number = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _has_no_owner(partial: Path) -> bool:
    if fcntl is None:
        return False
    number = os.open(partial, os.O_RDWR)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(number)
    return time.time() - partial.stat().st_mtime > _JUST_MADE_S


@functools.cache
def _this_machine() -> str:
    """Six digits: another machine's locks on a shared folder may not be seen from here."""
    start = Path("/proc/sys/kernel/random/boot_id")
    name = platform.node() + (start.read_text() if start.exists() else "")
    return hashlib.sha256(name.encode()).hexdigest()[:6]


def commit(partial: Path, path: Path) -> None:
    """Put the finished ``partial`` in the place of ``path``, once all of it is on the disk.

    A file that is there already hands its mode on; a link stays, and what it points to is replaced.
    """
    with partial.open("rb+") as file:
        if path.exists():
            os.chmod(partial, stat.S_IMODE(path.stat().st_mode))
        os.fsync(file.fileno())
    os.replace(partial, _place(path))


def _place(path: Path) -> Path:
    """Where a path leads: a link to a file stays when the file is replaced."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, before 3.13
        reason = getattr(error, "strerror", None) or "links in a circle"
        raise MediaError(f"{path}: cannot be written: {reason}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to; the file takes the place of ``path`` if the block succeeds.

    Raises:
        MediaError: ``path`` cannot be written; nothing is left behind.
    """
    check_writable(path)
    try:
        with partial_file(path) as partial:
            yield partial
            commit(partial, path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written: {error.strerror or error}") from error


def sha256_of(path: Path) -> str:
    """Return the hash of a file as 64 hex digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()


def check_listed_hash(path: Path) -> None:
    """Compare a weight file with the list of hashes beside it, if there is one that names it.

    Raises:
        WeightsError: the file was altered, or cannot be read.
    """
    listed = read_hashes(path.parent).get(path.name)
    if listed is not None and sha256_of(path) != listed:
        raise WeightsError(
            f"{path}: altered or damaged: its hash is not that in {LIST_OF_HASHES} beside it; "
            f"restore it (git checkout {path.name}), or, if it is meant to differ, take its line "
            "out of that list"
        )


def update_listed_hash(path: Path) -> None:
    """Correct the hash of a file that was just written, if the list beside it names the file.

    Raises:
        MediaError: the list cannot be written.
    """
    hashes = read_hashes(path.parent)
    if path.name in hashes:
        hashes[path.name] = sha256_of(path)
        with replacing(path.parent / LIST_OF_HASHES) as partial:
            partial.write_text("".join(f"{digest}  {name}\n" for name, digest in hashes.items()))


def read_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes that are listed in a folder, by the name of the file."""
    try:
        lines = (folder / LIST_OF_HASHES).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name.strip(" *"): digest for digest, _, name in (line.partition(" ") for line in lines)}
