"""The folder of one evaluation: what was asked for, results, tallies and problems.

evaluation.json          what was asked for; a later run must ask for the same
pairs.txt                the list
videos/METHOD/00012.mp4  results of our pipeline
tallies/METHOD/METRIC.npz
problems.json            what could not be done, and why
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter

from retalking.config import Schema, flatten
from retalking.errors import ConfigError
from retalking.evaluation.pairs import Pair, read_pairs, write_pairs
from retalking.evaluation.tally import Tally
from retalking.files import replacing

Problems = dict[str, dict[str, dict[str, str]]]
"""By method, pair and what failed (``result`` or a metric): why."""


def _as_folder_name(name: str) -> str:
    if not name.isprintable() or name.startswith(".") or set(name) & set("/\\"):
        raise ValueError(f"{name!r} cannot name a folder; expected no slash and no dot before it")
    return name


FolderName = Annotated[str, AfterValidator(_as_folder_name)]


class Record(Schema):
    """What an evaluation is; everything in it must be JSON.

    Attributes:
        title: of the report.
        notes: sentences below the title.
        published: name of the paper's table to print beside, or ``None``.
        pairs: digest of the list.
        shard: which share of the list is done here.
        methods: by name: label, options and hashes of weights.
        metrics: by name: hashes of weights.
        left_out: what takes no part, and why.
    """

    title: str
    notes: list[str]
    published: str | None
    pairs: str
    shard: str
    methods: dict[FolderName, dict[str, Any]]
    metrics: dict[FolderName, dict[str, Any]]
    left_out: dict[str, str]


class ResultFolder:
    """Reads and writes the files of an evaluation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def videos(self) -> Path:
        """Where results of our pipeline are."""
        return self.folder / "videos"

    def begin(self, record: Record, pairs: Sequence[Pair]) -> Record:
        """Create the folder, or go on in it; methods and metrics may be added to it.

        Returns:
            The record with the methods and metrics of earlier runs.

        Raises:
            ConfigError: the folder holds another evaluation.
            MediaError: it cannot be written.
        """
        try:
            self.videos.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be made: {error.strerror}") from None
        if self._record_path.is_file():
            before = self.read_record()
            differing = differences(before, record, ("pairs", "shard"))
            if differing:
                raise ConfigError(
                    f"{self.folder}: holds an evaluation with other options "
                    f"({'; '.join(differing[:4])}); give another --out"
                )
            record = record.model_copy(
                update={
                    "methods": before.methods | record.methods,
                    "metrics": before.metrics | record.metrics,
                }
            )
        self.save_record(record)
        write_pairs(self.folder / "pairs.txt", pairs)
        return record

    def save_record(self, record: Record) -> None:
        """Write what the folder is for."""
        write_json(self._record_path, record.model_dump(mode="json"))

    def read_record(self) -> Record:
        """Return what the folder is for.

        Raises:
            ConfigError: it is no such folder, or the file is damaged.
        """
        try:
            return Record.model_validate_json(self._record_path.read_bytes())
        except OSError:
            raise ConfigError(
                f"{self.folder}: no evaluation.json; expected the --out of an evaluation"
            ) from None
        except ValueError as error:
            raise ConfigError(
                f"{self._record_path}: damaged: {' '.join(str(error).split()):.300}"
            ) from None

    def read_pairs(self) -> list[Pair]:
        """Return the list."""
        return read_pairs(self.folder / "pairs.txt")

    def load_tally(self, method: str, metric: str) -> Tally:
        """Return what is known so far.

        Raises:
            ConfigError: the file is damaged.
        """
        return Tally.load(self._tally_path(method, metric))

    def save_tally(self, method: str, metric: str, tally: Tally) -> None:
        """Keep what is known.

        Raises:
            MediaError: it cannot be written.
        """
        path = self._tally_path(method, metric)
        path.parent.mkdir(parents=True, exist_ok=True)
        tally.save(path)

    def read_problems(self) -> Problems:
        """Return what could not be done in the last run.

        Raises:
            ConfigError: the file is damaged.
        """
        path = self.folder / "problems.json"
        try:
            content = path.read_bytes() if path.is_file() else b"{}"
            return TypeAdapter(Problems).validate_json(content)
        except (OSError, ValueError):
            raise ConfigError(f"{path}: damaged; delete it to try again what failed") from None

    def save_problems(self, problems: Problems) -> None:
        """Keep what could not be done."""
        write_json(self.folder / "problems.json", problems)

    @property
    def _record_path(self) -> Path:
        return self.folder / "evaluation.json"

    def _tally_path(self, method: str, metric: str) -> Path:
        return self.folder / "tallies" / method / f"{metric}.npz"


def differences(before: Record, now: Record, fields: tuple[str, ...]) -> list[str]:
    """Name what two records both say, but differently.

    Args:
        before: the first.
        now: the second.
        fields: that are compared, besides the methods and metrics that both have.
    """
    differing = [
        f"{name} {getattr(before, name)} before, {getattr(now, name)} now"
        for name in fields
        if getattr(before, name) != getattr(now, name)
    ]
    for kind in ("methods", "metrics"):
        old, new = getattr(before, kind), getattr(now, kind)
        for name in old.keys() & new.keys():
            differing += _changed(name, flatten(old[name]), flatten(new[name]))
    return differing


def _changed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {key} {old.get(key)} before, {new.get(key)} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def write_json(path: Path, values: object) -> None:
    """Write a JSON file.

    Raises:
        MediaError: it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
