"""Where the metrics' networks come from: a file that was given, or its place in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retalking.errors import WeightsError
from retalking.locations import CHECKPOINTS
from retalking.weights.catalogue import read_catalogue, sha256_of


def locate_weights(name: str, given: Mapping[str, Path], folder: Path = CHECKPOINTS) -> Path:
    """Return the file of a network, with the hash that its publisher gave, where one is known.

    Args:
        name: in ``checkpoints/weights.toml``.
        given: files of ``--weights NAME=FILE``, by name.
        folder: where catalogued files are looked for.

    Raises:
        ConfigError: no such name in the catalogue.
        WeightsError: the file is not there or is another one; one line says how to get it.
    """
    weight = read_catalogue().named(name)
    path = Path(given.get(name, weight.path(folder)))
    remedy = (
        f"run: python -m scripts.download_checkpoints --only {name}" if weight.urls else weight.note
    )
    remedy = f"{remedy.rstrip('.')}; or give the file with --weights {name}=FILE"
    if not path.is_file():
        raise WeightsError(f"{path} (for {weight.used_by}) is not here; {remedy}")
    found = sha256_of(path) if weight.sha256 else ""
    if not found.startswith(weight.sha256):
        raise WeightsError(
            f"{path} (for {weight.used_by}): its SHA-256 begins with {found[:8]}, expected "
            f"{weight.sha256[:8]}; {remedy}"
        )
    return path
