"""A list of jobs: a table, YAML, or a pattern of files."""

from __future__ import annotations

import csv
import glob
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from retalking.config import dump_config
from retalking.errors import ConfigError
from retalking.inference.config import InferenceConfig

_NEEDED = ("face", "audio", "outfile")
_DELIMITERS = ",;\t"
Configure = Callable[[list[str]], InferenceConfig]
"""Makes the configuration of a job from its own ``key=value`` texts."""


@dataclass(frozen=True)
class BatchJob:
    """One dub.

    Attributes:
        face: video or picture.
        audio: file with the speech.
        outfile: where the result goes; no two jobs of a list share it.
        config: everything else.
        report: where a report on the result goes; ``None`` for none.
    """

    face: Path
    audio: Path
    outfile: Path
    config: InferenceConfig
    report: Path | None = None

    def key(self) -> str:
        """Return 32 hex digits that change with the job's files (size and time) and options."""
        parts = [dump_config(self.config)]
        for path in (self.face, self.audio, *self.config.pictures()):
            try:
                found = path.stat()
                parts.append(f"{path} {found.st_size} {found.st_mtime_ns}")
            except OSError:
                parts.append(f"{path} -")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def read_jobs(path: Path, configure: Configure) -> list[BatchJob]:
    """Read a table (``.csv``, ``.tsv``) or a list of mappings in YAML.

    The columns or keys ``face``, ``audio`` and ``outfile`` are needed, paths relative to the file;
    all others are keys of the configuration. An empty cell leaves the value as it is.

    Args:
        path: of the list.
        configure: makes the configuration of a job.

    Raises:
        ConfigError: unreadable, empty, a missing or unknown key, or two jobs with one ``outfile``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    rows = _yaml_rows(path, text) if path.suffix in (".yaml", ".yml") else _table_rows(path, text)
    return _check([_job(where, row, path.parent, configure) for where, row in rows], str(path))


def match_jobs(pattern: str, audio: str, outfile: str, configure: Configure) -> list[BatchJob]:
    """Make a job of every video that a pattern finds.

    Args:
        pattern: such as ``clips/*.mp4``, or a folder, of which every file is meant.
        audio: the speech; ``{name}`` stands for the video's name without suffix.
        outfile: likewise.
        configure: makes the configuration of a job.

    Raises:
        ConfigError: nothing is found, or two jobs have one ``outfile``.
    """
    looked_for = f"{glob.escape(pattern)}/*" if Path(pattern).is_dir() else pattern
    faces = sorted(Path(found) for found in glob.glob(looked_for, recursive=True))
    config = configure([])
    jobs = [
        BatchJob(
            face,
            Path(audio.replace("{name}", face.stem)),
            Path(outfile.replace("{name}", face.stem)),
            config,
        )
        for face in faces
        if face.is_file()
    ]
    return _check(jobs, pattern)


def _table_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    lines = text.splitlines()
    delimiter = max(_DELIMITERS, key=(lines or [""])[0].count)
    table = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in table:
            where = f"{path}:{table.line_num}"
            if None in row or None in row.values():
                raise ConfigError(
                    f"{where}: expected {len(table.fieldnames or [])} cells as in the first line; "
                    "quote a cell that holds the delimiter"
                )
            yield where, row
    except csv.Error as error:
        raise ConfigError(f"{path}:{table.line_num}: not a table: {error}") from None


def _yaml_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    try:
        jobs = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise ConfigError(f"{path}: expected a list of jobs, '- face: a.mp4' and so on")
    for number, job in enumerate(jobs, 1):
        yield (
            f"{path}, job {number}",
            {str(key): _as_text(value) for key, value in job.items()},
        )


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def _job(where: str, row: Mapping[str, str], folder: Path, configure: Configure) -> BatchJob:
    given = {key.strip(): value.strip() for key, value in row.items()}
    missing = [name for name in _NEEDED if not given.get(name)]
    if missing:
        raise ConfigError(
            f"{where}: {', '.join(missing)} is missing; needed are face, audio, outfile"
        )
    face, audio, outfile = (folder / Path(given[name]).expanduser() for name in _NEEDED)
    settings = [f"{key}={value}" for key, value in given.items() if key not in _NEEDED and value]
    try:
        return BatchJob(face, audio, outfile, configure(settings))
    except ConfigError as error:
        raise ConfigError(f"{where}: {str(error).replace('--set ', '')}") from None


def _check(jobs: list[BatchJob], where: str) -> list[BatchJob]:
    if not jobs:
        raise ConfigError(f"{where}: no job in it; expected one at least")
    seen: dict[Path, BatchJob] = {}
    for job in jobs:
        if seen.setdefault(job.outfile.resolve(), job) is not job:
            raise ConfigError(f"{where}: two jobs write {job.outfile}; give each its own outfile")
    return jobs
