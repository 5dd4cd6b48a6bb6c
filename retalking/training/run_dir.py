"""The folder of one training run.

    config.yaml               the configuration; another one is refused on resume
    environment.json          a record per start: versions, machine, commit, command line
    log.txt                   what was logged, all starts
    metrics.jsonl             one line per log and validation: step, split, values
    events.out.tfevents.*     the same for TensorBoard, and picture grids
    weights-00001000.safetensors, weights-best.safetensors    what inference loads
    state-00001000.pt         what resume loads

Rank 0 alone writes. Checkpoints appear complete or not at all (retalking/files.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import yaml
from pydantic import BaseModel

from retalking.config import dump_config, flatten
from retalking.errors import ConfigError
from retalking.files import replacing
from retalking.training.recorder import explain_failed_write


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
            self.weights_path(step).unlink(missing_ok=True)
            self.state_path(step).unlink()


def open_run_dir(path: Path, config: BaseModel, may_differ: Collection[str]) -> list[str]:
    """Make or reopen a run folder, and clear away files that a killed process left unfinished.

    Args:
        path: the folder.
        config: kept as config.yaml.
        may_differ: dotted names of the settings that may change between starts.

    Returns:
        The settings that did change, with both values.

    Raises:
        ConfigError: the folder belongs to a run with another configuration.
        RetalkingError: the folder cannot be written.
    """
    with explain_failed_write(path):
        path.mkdir(parents=True, exist_ok=True)
        for unfinished in path.glob(".*.part*"):
            unfinished.unlink()
        return _settle_config(path / "config.yaml", config, may_differ)


def _settle_config(file: Path, config: BaseModel, may_differ: Collection[str]) -> list[str]:
    now = flatten(config.model_dump(mode="json"))
    changes: dict[str, str] = {}
    if file.exists():
        try:
            before = flatten(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
            raise ConfigError(
                f"{file}: damaged; put it back or choose another run folder"
            ) from None
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        changes = {n: f"{n}: was {before.get(n)!r}, now {now.get(n)!r}" for n in names}
        refused = [change for name, change in changes.items() if name not in may_differ]
        if refused:
            raise ConfigError(
                f"{file.parent} was begun with another configuration: {'; '.join(refused)}; "
                "change it back or choose another run folder"
            )
    with replacing(file) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    return list(changes.values())


def _digits(label: int | str) -> str:
    return f"{label:08d}" if isinstance(label, int) else label
