"""Fetching weight files: checked against a hash, and complete on disk or not there at all."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from retalking.errors import WeightsError
from retalking.weights.catalogue import (
    LOCK_NAME,
    State,
    WeightFile,
    full_state,
    pinned_sha256,
    read_lock,
    sha256_of,
)
from retalking.weights.http import (
    DEFAULT_RETRY,
    AddressError,
    Progress,
    RetryPolicy,
    Transfer,
    UnreachableError,
    tag_path,
)

logger = logging.getLogger(__name__)


class OfflineError(WeightsError):
    """No connection to the host of any address; trying other files is pointless."""


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What ``fetch`` did.

    Attributes:
        path: the file.
        downloaded: whether it came over the network now.
        trusted_sha256: the hash that was locked now because none was known, or empty.
    """

    path: Path
    downloaded: bool
    trusted_sha256: str = ""


def fetch(
    weight: WeightFile,
    folder: Path,
    mirror: str | None = None,
    on_progress: Progress = lambda done, total: None,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Fetched:
    """Make sure that a weight file is on the disk and is the right one.

    A file whose whole hash nobody published is trusted on first use, over https: its hash goes into
    the lock file of ``folder``, and from then on nothing else is accepted under its name. A wrong
    file that is on the disk already may be the user's own: it is reported, never replaced.

    Args:
        weight: the file wanted; nothing is fetched if it is here and right.
        folder: the folder of checkpoints, held by ``exclusive``.
        mirror: an address to try first, as ``MIRROR/file``.
        on_progress: told about bytes as they come.
        retry: how stubborn to be.

    Raises:
        OfflineError: no server could be reached.
        WeightsError: it cannot be had or stored. A partial file stays for the next run; a
            complete but wrong one does not.
    """
    path = weight.path(folder)
    state = full_state(weight, folder)
    if state is State.VERIFIED:
        return Fetched(path, downloaded=False)
    if state is State.UNKNOWN_HASH:
        return Fetched(path, False, _trust(weight, folder, "found on disk"))
    if state is not State.ABSENT:
        raise WeightsError(
            f"{path}: {state.value}; it is not the file that was published (or first seen). "
            "Move it away to fetch that one"
        )
    urls = ([f"{mirror.rstrip('/')}/{weight.file}"] if mirror else []) + list(weight.urls)
    if not urls:
        raise WeightsError(f"{weight.file}: no public address is known. {weight.note}")

    pinned = pinned_sha256(weight, folder)
    part = path.with_name(path.name + ".part")
    failures: dict[str, AddressError] = {}
    for url in urls:
        try:
            with _disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                Transfer(url, part, weight, on_progress, retry, must_be_safe=not pinned).run()
                _check_hash(part, pinned or weight.sha256)
                os.replace(part, path)
                tag_path(part).unlink(missing_ok=True)
        except AddressError as error:
            logger.info("%s: %s", url, error)
            failures[url] = error
            continue
        return Fetched(path, True, "" if pinned else _trust(weight, folder, url))
    reasons = "; ".join(f"{url}: {error}" for url, error in failures.items())
    if all(isinstance(error, UnreachableError) for error in failures.values()):
        raise OfflineError(f"no network, cannot fetch {weight.file}: {reasons}")
    raise WeightsError(f"cannot fetch {weight.file}: {reasons}")


@contextlib.contextmanager
def exclusive(folders: Iterable[Path]) -> Iterator[None]:
    """Let one process at a time download into these folders, which are created if needed.

    Raises:
        WeightsError: another one is at it, or a folder cannot be written to.
    """
    with contextlib.ExitStack() as held:
        for folder in sorted(set(folders)):
            with _disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(filelock.FileLock(folder / ".download.lock", timeout=0))
                except filelock.Timeout:
                    raise WeightsError(
                        f"another download into {folder} is running; wait until it ends"
                    ) from None
        yield


def _check_hash(part: Path, expected_sha256: str) -> None:
    found = sha256_of(part)
    if not found.startswith(expected_sha256):
        part.unlink()
        tag_path(part).unlink(missing_ok=True)
        raise AddressError(
            f"not the published (or first seen) file, deleted: expected sha256 {expected_sha256}, "
            f"got {found[: len(expected_sha256)]}"
        )


def _trust(weight: WeightFile, folder: Path, url: str) -> str:
    """Lock the hash of a file that is here, and return it."""
    path = weight.path(folder)
    sha256 = sha256_of(path)
    locked = read_lock(folder)
    locked[weight.name] = {
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "url": url,
        "date": datetime.date.today().isoformat(),
    }
    lock_path = folder / LOCK_NAME
    new_path = lock_path.with_name(LOCK_NAME + ".part")
    with _disk_errors(lock_path):
        new_path.write_text(json.dumps(locked, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(new_path, lock_path)
    return sha256


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from None
