"""The training state on disk: all that resume needs, in one file that is never half there."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from models.weight_files import read_torch_file
from retalking.errors import WeightsError
from retalking.files import replacing


class Stateful(Protocol):
    """A network, an optimiser, an average: anything whose state can be taken and put back."""

    def state_dict(self) -> Any:
        """Return the state as tensors and plain values."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Put a state back."""


def save_state(path: Path, state: Mapping[str, Stateful]) -> None:
    """Write the named states; an interrupted or failed write leaves what was there before.

    Raises:
        MediaError: the file cannot be written, for instance because the disk is full.
    """
    # Through memory, since torch.save reports a full disk as an internal error of its own.
    buffer = io.BytesIO()
    torch.save({name: item.state_dict() for name, item in state.items()}, buffer)
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(buffer.getbuffer())


def load_state(path: Path, state: Mapping[str, Stateful]) -> None:
    """Put back what ``save_state`` wrote, onto the devices where the items are.

    Raises:
        WeightsError: the file is damaged, or made with other items than these.
    """
    remedy = "delete this file to continue from the one before it"
    try:
        _check_sums(path)
        stored = read_torch_file(path)
    except WeightsError as error:
        raise WeightsError(f"cannot resume: {error}; or {remedy}") from None
    if stored.keys() != state.keys():
        raise WeightsError(
            f"{path}: holds {', '.join(sorted(stored))}; expected {', '.join(sorted(state))}"
        )
    for name, item in state.items():
        try:
            item.load_state_dict(stored[name])
        except (RuntimeError, ValueError, KeyError) as error:
            fault = " ".join(str(error).split())
            raise WeightsError(f"{path}: {name} does not fit: {fault:.300}; {remedy}") from None


def _check_sums(path: Path) -> None:
    """Read every entry once: torch.load maps them and would take flipped bits as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        damaged = str(error)
    if damaged is not None:
        raise WeightsError(f"{path}: damaged ({damaged})")


def is_finite(state: Any) -> bool:
    """Tell whether no tensor in a nested state holds NaN or infinity."""
    if isinstance(state, Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, Mapping):
        return all(is_finite(value) for value in state.values())
    return not isinstance(state, (list, tuple)) or all(is_finite(value) for value in state)
