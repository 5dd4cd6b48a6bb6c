"""The folder of kept results: private, of limited size, and emptied of nothing but our own files.

Analyses lie in it as ``<fingerprint>.arrays``, and the finished frames of interrupted jobs as
``jobs/<fingerprint>/<number>.arrays``. A user may point ``--tmp-dir`` at a folder with other things
in it, even with a ``jobs`` of its own; whatever has not exactly our names is left alone.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from retalking.arrays.sealed import SUFFIX
from retalking.files import remove_abandoned
from retalking.locations import REPOSITORY

logger = logging.getLogger(__name__)

JOBS = "jobs"
_KEY = r"[0-9a-f]{32}"
_ENTRY = re.compile(rf"{_KEY}(\.arrays|\.npz)")  # the latter of earlier versions
_CHUNK = re.compile(r"\d{8}(\.arrays|\.npz)")
_PARTIAL = re.compile(r"\.retalking-[0-9a-f]{12}\.part(\.arrays|\.npz)")
_KEPT_S = 7 * 24 * 3600.0
_NOT_IN_JOBS = ("evaluation", "training", "metrics", "review", "web")
"""Parts of the library that no result of a job depends on."""


@dataclass(frozen=True)
class _Kept:
    """Something of ours, one analysis or all chunks of one job."""

    files: tuple[Path, ...]
    folder: Path | None
    used: float
    num_bytes: int
    lasts_s: float = float("inf")


def entry_path(folder: Path, key: str) -> Path:
    """Where the analysis of this fingerprint is."""
    return folder / f"{key}{SUFFIX}"


def job_folder(folder: Path, key: str) -> Path:
    """Where the finished frames of the job of this fingerprint are."""
    return folder / JOBS / key


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may enter; one that exists keeps its mode.

    Raises:
        OSError: it cannot be created.
    """
    for parent in reversed([folder, *folder.parents]):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)


def tidy(folder: Path, limit_bytes: int, keep: str = "") -> None:
    """Forget jobs of last week, then what was used longest ago, until the rest fits the limit.

    Args:
        folder: of the cache; need not exist.
        limit_bytes: of all that is kept.
        keep: fingerprint of the job that is being worked on.
    """
    remove_abandoned(folder)
    now = time.time()
    kept = []
    for thing in _ours(folder):
        if thing.folder is not None and thing.folder.name == keep:
            continue
        if now - thing.used > thing.lasts_s:
            _remove(thing)
        else:
            kept.append(thing)
    total = sum(thing.num_bytes for thing in kept)
    for thing in sorted(kept, key=lambda thing: thing.used):
        if total <= limit_bytes:
            break
        _remove(thing)
        total -= thing.num_bytes
        logger.info("%s: forgotten, the cache is full", thing.folder or thing.files[0])


def forget_job(folder: Path) -> None:
    """Remove a job's folder, or leave it as it is if anything else is in it."""
    job = _job(folder)
    if job is not None:
        _remove(job)


@functools.cache
def code_version() -> str:
    """Hash of the code, ours and the libraries' versions, that results of a job depend on."""
    digest = hashlib.sha256()
    for library in (av, cv2, np, torch):
        digest.update(f"{library.__name__} {library.__version__}\n".encode())
    for package in ("retalking", "models", "third_party"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            part = path.relative_to(REPOSITORY)
            if part.parts[1] not in _NOT_IN_JOBS:
                digest.update(part.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _ours(folder: Path) -> Iterator[_Kept]:
    try:
        inside = sorted(folder.iterdir())
        jobs = folder / JOBS
        in_jobs = sorted(jobs.iterdir()) if jobs.is_dir() and not jobs.is_symlink() else []
    except OSError:
        return
    for path in inside:
        if path.is_symlink() or not path.is_file():
            continue
        if _ENTRY.fullmatch(path.name):
            yield _Kept((path,), None, _modified(path), _size(path))
    for path in in_jobs:
        job = _job(path)
        if job is not None:
            yield job


def _job(folder: Path) -> _Kept | None:
    """A folder with a name of ours and nothing but files of ours."""
    if not re.fullmatch(_KEY, folder.name) or folder.is_symlink() or not folder.is_dir():
        return None
    try:
        files = tuple(folder.iterdir())
    except OSError:
        return None
    for path in files:
        named = _CHUNK.fullmatch(path.name) or _PARTIAL.fullmatch(path.name)
        if not named or path.is_symlink() or not path.is_file():
            return None
    used = max([_modified(folder), *(_modified(path) for path in files)])
    return _Kept(files, folder, used, sum(_size(path) for path in files), _KEPT_S)


def _remove(thing: _Kept) -> None:
    try:
        for path in thing.files:
            path.unlink(missing_ok=True)
        if thing.folder is not None:
            os.rmdir(thing.folder)
    except OSError as error:
        logger.debug("%s: not removed: %s", thing.folder or thing.files, error)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another job has removed it
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
