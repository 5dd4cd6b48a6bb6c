"""The list of weight files in ``checkpoints/weights.toml``: what exists, and what is here."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import sys
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from retalking.errors import ConfigError, WeightsError
from retalking.files import sha256_of
from retalking.locations import CHECKPOINTS, user_cache

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

CATALOGUE_FILE = CHECKPOINTS / "weights.toml"
FACE_ANALYSIS_WEIGHTS = {
    "lite": (),
    "official": ("S3FD", "FAN"),
    "retinaface": ("RetinaFace", "FAN"),
}
"""What finds faces and what finds landmarks, by our names; the lite one is in the repository."""
LOCK_NAME = "weights.lock.json"
_SHA256_DIGITS = 64


class State(Enum):
    """What the disk holds of a weight file."""

    ABSENT = "absent"
    PRESENT = "present"
    WRONG_SIZE = "wrong size"
    WRONG_HASH = "wrong hash"
    UNKNOWN_HASH = "no full hash known"
    VERIFIED = "verified"


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """One file of others.

    Attributes:
        name: how we call it.
        file: its name on disk.
        group: the group it belongs to.
        urls: addresses to try, in this order; empty where no public one is known.
        licence: what its authors say.
        used_by: what needs it.
        sha256: hex digits of its hash, all 64 or the first ones; empty where unknown.
        bytes: its size, or ``None`` where unknown.
        cache: ``"torch_hub"`` if a library looks for it among PyTorch's downloads.
        network: key of ``models.weights.OFFICIAL_FORMATS`` where we load it ourselves.
        note: what else to know.
    """

    name: str
    file: str
    group: str
    urls: tuple[str, ...]
    licence: str
    used_by: str
    sha256: str = ""
    bytes: int | None = None
    cache: str = ""
    network: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        where = f"weights.{self.name}"
        if not re.fullmatch(r"([0-9a-f]{8,64})?", self.sha256):
            raise ConfigError(f"{where}.sha256: expected 8 to 64 hex digits, got {self.sha256!r}")
        if not self.file or self.file in (".", "..") or re.search(r"[/\\:]", self.file):
            raise ConfigError(f"{where}.file: expected a bare file name, got {self.file!r}")
        if any(not url.startswith(("https://", "http://")) for url in self.urls):
            raise ConfigError(f"{where}.urls: expected http(s)://..., got {', '.join(self.urls)}")
        if self.cache not in ("", "torch_hub"):
            raise ConfigError(f"{where}.cache: expected torch_hub or nothing, got {self.cache!r}")

    def path(self, folder: Path = CHECKPOINTS) -> Path:
        """Where the file belongs, given the folder of checkpoints."""
        return (torch_hub_folder() if self.cache else folder) / self.file


@dataclasses.dataclass(frozen=True)
class Group:
    """Files with one purpose; ``default`` ones are fetched when nothing else is asked for."""

    name: str
    about: str
    default: bool = False


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """All that ``weights.toml`` lists, by name."""

    groups: dict[str, Group]
    weights: dict[str, WeightFile]

    def of_groups(self, names: Collection[str]) -> list[WeightFile]:
        """Return the files of these groups, in the order of the list.

        Raises:
            ConfigError: no such group.
        """
        for name in names:
            if name not in self.groups:
                raise ConfigError(_unknown("group of weights", name, self.groups))
        return [weight for weight in self.weights.values() if weight.group in names]

    def named(self, name: str) -> WeightFile:
        """Return a file by our name for it, or by its name on disk.

        Raises:
            ConfigError: no such file.
        """
        by_file = {weight.file: weight for weight in self.weights.values()}
        found = self.weights.get(name) or by_file.get(name)
        if found is None:
            raise ConfigError(_unknown("weight file", name, self.weights))
        return found


def read_catalogue(path: Path = CATALOGUE_FILE) -> Catalogue:
    """Read and check the list.

    Raises:
        ConfigError: the file is missing or malformed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        hosts = {name: tuple(host["urls"]) for name, host in tables.get("host", {}).items()}
        groups = {name: Group(name, **table) for name, table in tables["group"].items()}
        weights = {name: _weight(name, table, hosts) for name, table in tables["weights"].items()}
    except OSError as error:
        raise ConfigError(f"cannot read the list of weights {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: malformed list of weights: {error}") from None
    catalogue = Catalogue(groups, weights)
    catalogue.of_groups({weight.group for weight in weights.values()})
    return catalogue


def find(name: str, folder: Path = CHECKPOINTS, given: Mapping[str, Path] | None = None) -> Path:
    """Return the path of a weight file that is here, and is the right one as far as is known.

    Args:
        name: in the list.
        folder: where it is looked for.
        given: files of ``--weights NAME=FILE`` by name, which come first. Their flag is offered,
            and the file is compared by its hash, otherwise by its size.

    Raises:
        ConfigError: no such file in the list.
        WeightsError: it is not here or is another one; the message says how to get it.
    """
    weight = read_catalogue().named(name)
    path = Path((given or {}).get(name, weight.path(folder)))
    remedy = (
        f"run: python -m scripts.download_checkpoints --only {weight.name}"
        if weight.urls
        else weight.note
    )
    if given is not None:
        remedy = f"{remedy.rstrip('.')}; or give the file with --weights {name}=FILE"
    found = sha256_of(path) if path.is_file() and given is not None and weight.sha256 else ""
    if not path.is_file():
        problem = " is not here"
    elif found and not found.startswith(weight.sha256):
        problem = f": its SHA-256 begins with {found[:8]}, expected {weight.sha256[:8]}"
    elif given is None and quick_state(weight, folder) is State.WRONG_SIZE:
        problem = f" has {path.stat().st_size} bytes, expected {weight.bytes} bytes"
    else:
        return path
    raise WeightsError(f"{path} (for {weight.used_by}){problem}; {remedy}")


def quick_state(weight: WeightFile, folder: Path = CHECKPOINTS) -> State:
    """Compare presence and size only: ``ABSENT``, ``WRONG_SIZE`` or ``PRESENT``."""
    path = weight.path(folder)
    if not path.is_file():
        return State.ABSENT
    right = path.stat().st_size == weight.bytes if weight.bytes is not None else True
    return State.PRESENT if right else State.WRONG_SIZE


def full_state(weight: WeightFile, folder: Path = CHECKPOINTS) -> State:
    """Compare the hash too, with the list or else with the lock file of ``folder``.

    Raises:
        WeightsError: the file or the lock file cannot be read.
    """
    state = quick_state(weight, folder)
    if state is not State.PRESENT:
        return state
    found = sha256_of(weight.path(folder))
    if not found.startswith(weight.sha256):  # eight digits are a checksum, too few for a pin
        return State.WRONG_HASH
    pinned = pinned_sha256(weight, folder)
    if not pinned:
        return State.UNKNOWN_HASH
    return State.VERIFIED if found == pinned else State.WRONG_HASH


def pinned_sha256(weight: WeightFile, folder: Path = CHECKPOINTS) -> str:
    """Return all 64 digits: the published ones, or those trusted on first use; empty if neither.

    Raises:
        WeightsError: the lock file of ``folder`` is damaged.
    """
    if len(weight.sha256) == _SHA256_DIGITS:
        return weight.sha256
    return str(read_lock(folder).get(weight.name, {}).get("sha256", ""))


def read_lock(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what was trusted on first use, by name: ``sha256``, ``bytes``, ``url``, ``date``.

    Raises:
        WeightsError: the lock file is damaged; nothing is trusted anew behind the user's back.
    """
    path = folder / LOCK_NAME
    if not path.exists():
        return {}
    try:
        locked = json.loads(path.read_text(encoding="utf-8"))
        return {name: {**entry, "sha256": str(entry["sha256"])} for name, entry in locked.items()}
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WeightsError(f"{path} is damaged; delete it to trust the files anew") from None


def torch_hub_folder() -> Path:
    """Where PyTorch keeps downloaded weights (as ``torch.hub.get_dir()``, without importing it)."""
    given = os.environ.get("TORCH_HOME")
    home = Path(os.path.expanduser(given)) if given else user_cache() / "torch"
    return home / "hub" / "checkpoints"


def _weight(name: str, table: dict[str, Any], hosts: dict[str, tuple[str, ...]]) -> WeightFile:
    fields = dict(table)
    host = fields.pop("host", None)
    if (host is None) == ("urls" not in fields):
        raise TypeError(f"weights.{name}: expected either host or urls")
    urls = fields.pop("urls", None)
    if urls is None:
        urls = [f"{base}/{fields['file']}" for base in hosts[host]]
    return WeightFile(name=name, urls=tuple(urls), **fields)


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else "known are " + ", ".join(known)
    return f"no {what} is called {name!r}; {hint}"
