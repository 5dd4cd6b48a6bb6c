"""The folder of one training run.

    config.yaml               the configuration; another one is refused on resume
    contents.json             fingerprints of the stores and weights that it names
    changes.jsonl             settings that were changed between two starts
    environment.json          a record per start: versions, machine, commit, command line
    log.txt                   what was logged, all starts
    metrics.jsonl             one line per log and validation: step, split, values
    events.out.tfevents.*     the same for TensorBoard, and picture grids
    wandb-run.txt, wandb/     the run of Weights & Biases, if there is one
    films/NAME-00001000.mp4   films of validations, with sound
    weights-00001000.safetensors, weights-best.safetensors    what inference loads
    state-00001000.pt         what resume loads

Rank 0 alone writes. Checkpoints appear complete or not at all (retalking/files.py).
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from pydantic import BaseModel

from retalking.config import dump_config, flatten
from retalking.errors import ConfigError
from retalking.files import replacing
from retalking.training.contents import fingerprint_inputs
from retalking.training.record.recorder import explain_failed_write

CONFIG_FILE, CONTENTS_FILE, CHANGES_FILE = "config.yaml", "contents.json", "changes.jsonl"


class RunDir:
    """Names of the files in a run folder, and which of them are there.

    Args:
        path: the folder; it must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def weights_path(self, label: int | str) -> Path:
        """Name the weights of a step, or the ``"best"`` ones."""
        return self.path / f"weights-{_digits(label)}.safetensors"

    def state_path(self, step: int) -> Path:
        """Name the training state after ``step`` updates."""
        return self.path / f"state-{_digits(step)}.pt"

    def saved_steps(self) -> list[int]:
        """Return the steps that can be resumed from, in order."""
        names = (re.fullmatch(r"state-(\d+)\.pt", file.name) for file in self.path.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def prune(self, keep_last: int) -> None:
        """Delete all but the newest states and their weights; the best weights stay."""
        for step in self.saved_steps()[:-keep_last]:
            for file in self.path.glob(f"*-{_digits(step)}.safetensors"):  # a critic's as well
                file.unlink(missing_ok=True)
            self.state_path(step).unlink()


@contextmanager
def own_run_dir(path: Path) -> Iterator[None]:
    """Keep other trainings out of a folder until the block ends, or this process does.

    Raises:
        ConfigError: another process trains in it.
        RetalkingError: the folder cannot be written.
    """
    owner = path / ".lock.owner"
    with explain_failed_write(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            who = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
            raise ConfigError(
                f"{path}: {who} trains in this run folder; wait for it, or choose another"
            ) from None
        owner.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
    try:
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def open_run_dir(
    path: Path,
    config: BaseModel,
    may_differ: Collection[str],
    may_change: Collection[str] = (),
) -> list[str]:
    """Make or reopen a run folder, and clear away files that a killed process left unfinished.

    A file or store that was moved is still the same: its content is compared, not its path.

    Args:
        path: the folder.
        config: kept as config.yaml.
        may_differ: dotted names of the settings that may change between starts.
        may_change: further ones that the user lets change this time.

    Returns:
        The settings that did change, with both values; they are added to changes.jsonl.

    Raises:
        ConfigError: the folder belongs to a run with another configuration, or ``may_change`` names
            no setting.
        RetalkingError: the folder cannot be written.
    """
    with explain_failed_write(path):
        path.mkdir(parents=True, exist_ok=True)
        for unfinished in path.glob(".*.part*"):
            unfinished.unlink()
        now = flatten(config.model_dump(mode="json"))
        unknown = sorted(set(may_change) - now.keys())
        if unknown:
            raise ConfigError(f"--allow-change {unknown[0]}: expected one of {', '.join(now)}")
        contents = fingerprint_inputs(config)
        changes = _find_changes(path / CONFIG_FILE, now)
        known = _read_contents(path / CONTENTS_FILE)
        moved = {name for name in changes if name in contents and known.get(name) == contents[name]}
        altered = {
            name: f"{name}: its content is not what it was ({now[name]})"
            for name in contents.keys() & known.keys()
            if name not in changes and known[name] != contents[name]
        }
        faults = {**changes, **altered}
        refused = [faults[n] for n in faults if n not in {*may_differ, *may_change, *moved}]
        if refused:
            raise ConfigError(
                f"{path} was begun with another configuration: {'; '.join(refused)}; change it "
                "back, choose another run folder, or give --allow-change KEY"
            )
        _write(path / CONFIG_FILE, dump_config(config))
        _write(path / CONTENTS_FILE, json.dumps(contents, indent=1) + "\n")
        _record(path / CHANGES_FILE, faults)
        return list(faults.values())


def _find_changes(file: Path, now: Mapping[str, object]) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        before = flatten(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
        raise ConfigError(f"{file}: damaged; put it back or choose another run folder") from None
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return {n: f"{n}: was {before.get(n)!r}, now {now.get(n)!r}" for n in names}


def _read_contents(file: Path) -> dict[str, str]:
    """Return the known fingerprints by setting; none in a folder of an older version."""
    if not file.exists():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ConfigError(f"{file}: damaged; delete it to compare paths alone") from None


def _record(file: Path, changes: Mapping[str, str]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        for change in changes.values():
            when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            lines.write(json.dumps({"started_at": when, "change": change}) + "\n")


def _write(file: Path, text: str) -> None:
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _digits(label: int | str) -> str:
    return f"{label:08d}" if isinstance(label, int) else label
