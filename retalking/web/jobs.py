"""Jobs as folders: what was asked for, how far it is, and the files that may be fetched."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from retalking.cache_folder import make_private
from retalking.errors import RetalkingError
from retalking.files import replacing

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
RESULT, SHEET, REPORT = "result.mp4", "sheet.png", "report.html"
_RECORD, _SECRET = "job.json", "secret"
_ID = re.compile(r"[0-9a-f]{32}")
_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".mpeg")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma")
_SUFFIXES = frozenset((*_VIDEOS, *_PICTURES, *_SOUNDS))
"""Of files whose kind the name tells; others lose theirs, and browsers do not guess."""


class NoSuchFileError(RetalkingError):
    """There is no such job, or it has no such file."""


@dataclass(frozen=True)
class JobOptions:
    """What a user chose.

    Attributes:
        profile: see ``load_profile``.
        expression: of the face, see ``--exp-img``.
        emotion: of the upper face, see ``--up-face``.
        quality: one of ``work.QUALITIES``.
        is_preview: dub passages only.
        face_box: left, top, right, bottom in pixels around whom to dub; ``None``: the largest face.
    """

    profile: str
    expression: str
    emotion: str
    quality: str
    is_preview: bool = False
    face_box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        id: 32 hex digits that nobody can guess: who knows them may see the job.
        title: names of its files, as they were given.
        state: where it is.
        created_s: seconds since 1970.
        options: what was chosen.
        face: name of the video or picture in its folder.
        speech: name of the speech in its folder.
        message: why it failed, or what the review says.
    """

    id: str
    title: str
    state: State
    created_s: float
    options: JobOptions
    face: str
    speech: str
    message: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Names that may be fetched, if they are there."""
        return (self.face, self.speech, RESULT, SHEET, REPORT)


class JobStore:
    """A private folder with a folder for each job, named by its id."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made."""
        make_private(folder)
        self.folder = folder.resolve()

    def create(self, face: Path, speech: Path, options: JobOptions) -> Job:
        """Copy files into a new job that waits.

        Raises:
            OSError: the disk is full, or a file cannot be read.
        """
        job = Job(
            id=secrets.token_hex(16),
            title=f"{_shown_name(face)} + {_shown_name(speech)}",
            state="waiting",
            created_s=time.time(),
            options=options,
            face=f"face{_kept_suffix(face)}",
            speech=f"speech{_kept_suffix(speech)}",
        )
        folder = self.folder / job.id
        folder.mkdir(mode=0o700)
        try:
            shutil.copyfile(face, folder / job.face)
            shutil.copyfile(speech, folder / job.speech)
            self.save(job)
        except BaseException:
            self.remove(job)
            raise
        return job

    def save(self, job: Job) -> None:
        """Write the record of a job.

        Raises:
            MediaError: it cannot be written.
        """
        with replacing(self.folder / job.id / _RECORD) as partial:
            partial.write_text(json.dumps(dataclasses.asdict(job)), encoding="utf-8")

    def load(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NoSuchFileError: there is none of this id.
        """
        try:
            record = json.loads(self._inside(job_id, _RECORD).read_text("utf-8"))
            return _job_of(record, job_id)
        except (OSError, ValueError, KeyError, TypeError):
            raise NoSuchFileError("no such job") from None

    def all(self) -> list[Job]:
        """Return all jobs, oldest first."""
        return sorted(self._jobs(), key=lambda job: job.created_s)

    def file(self, job_id: str, name: str) -> Path:
        """Return a file that may be fetched.

        Raises:
            NoSuchFileError: no such job, no file of it, or no plain file in the job's own folder.
        """
        if name not in self.load(job_id).files:
            raise NoSuchFileError("no such file")
        return self._inside(job_id, name)

    def remove(self, job: Job) -> None:
        """Delete a job's own files, and its folder if nothing else is in it."""
        folder = self.folder / job.id
        for name in (*job.files, _RECORD):
            with suppress(OSError):
                (folder / name).unlink()
        with suppress(OSError):
            folder.rmdir()

    def forget_older_than(self, seconds: float) -> None:
        """Delete jobs that ended and are older than that."""
        for job in self._jobs():
            if job.state in ENDED and time.time() - job.created_s > seconds:
                self.remove(job)

    def secret(self) -> str:
        """A secret of this folder, the same for ever: by it browsers keep their lists of jobs."""
        path = self.folder / _SECRET
        if not path.is_file():
            with replacing(path) as partial:
                partial.touch(mode=0o600)
                partial.write_text(secrets.token_hex(16), encoding="ascii")
        return path.read_text("ascii")

    def _jobs(self) -> Iterator[Job]:
        for path in self.folder.iterdir():
            with suppress(NoSuchFileError):
                yield self.load(path.name)

    def _inside(self, job_id: str, name: str) -> Path:
        """A plain file of a job: no link, nothing above, nothing elsewhere."""
        if not _ID.fullmatch(job_id) or Path(name).name != name:
            raise NoSuchFileError("no such job")
        path = self.folder / job_id / name
        if path.parent.is_symlink() or path.is_symlink() or not path.is_file():
            raise NoSuchFileError("no such file")
        if os.path.realpath(path) != str(path):
            raise NoSuchFileError("no such file")
        return path


def _job_of(record: dict[str, Any], job_id: str) -> Job:
    """Read a record that may be of another version, or damaged.

    Raises:
        ValueError: it is no job, or another's.
    """
    options = record.pop("options")
    box = options.pop("face_box")
    job = Job(options=JobOptions(**options, face_box=None if box is None else tuple(box)), **record)
    if job.id != job_id or job.state not in get_args(State):
        raise ValueError("not this job")
    return job


def _shown_name(path: Path) -> str:
    return path.name if len(path.name) <= 40 else f"{path.name[:30]}…{path.name[-9:]}"


def _kept_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in _SUFFIXES else ".bin"
