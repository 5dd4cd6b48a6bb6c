"""Whether the tensors of a weight file are those of a network: names, shapes, numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from torch import Tensor

from retalking.errors import WeightsError

NUM_KEYS_SHOWN = 5
_LARGEST_SIZE = 4096
_FLOATING_TYPES = frozenset({"F16", "BF16", "F32", "F64"})


class Kind(NamedTuple):
    """What a tensor is like without its values."""

    shape: list[int]
    is_floating_point: bool

    @classmethod
    def of(cls, value: Tensor) -> Kind:
        """Describe a tensor."""
        return cls(list(value.shape), value.is_floating_point())

    def __str__(self) -> str:
        return f"{self.shape}" if self.is_floating_point else f"whole numbers {self.shape}"


def read_header(path: Path) -> dict[str, Kind | None]:
    """Describe the tensors of a safetensors file without reading them."""
    with safetensors.safe_open(path, framework="pt") as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        return {
            key: Kind(part.get_shape(), part.get_dtype() in _FLOATING_TYPES)
            for key, part in slices.items()
        }


def check_fit(
    expected: Mapping[str, Tensor], found: Mapping[str, Kind | None], origin: object
) -> None:
    """Compare names, shapes and kinds of numbers; ``None`` is what is no tensor.

    Raises:
        WeightsError: they differ; the message begins with ``origin``.
    """
    problems = {
        "missing": [k for k in expected if k not in found],
        "unexpected": [k for k in found if k not in expected],
        "of another shape or kind": [
            f"{k} (file {found[k] or 'no tensor'}, network {Kind.of(v)})"
            for k, v in expected.items()
            if k in found and found[k] != Kind.of(v)
        ],
    }
    if any(problems.values()):
        details = "; ".join(
            f"{len(keys)} {kind}: {shorten(keys)}" for kind, keys in problems.items() if keys
        )
        raise WeightsError(f"{origin}: {details}")


def check_sizes(value: Any) -> None:
    """Refuse numbers in a config that no network has: building it would take for ever.

    Raises:
        ValueError: there is one.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            check_sizes(part)
    elif isinstance(value, int) and not -1 <= value <= _LARGEST_SIZE:
        raise ValueError(f"got {value:.3g}, expected sizes up to {_LARGEST_SIZE}")


def check_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        WeightsError: there is one; the message begins with ``origin``.
    """
    broken = [k for k, v in tensors.items() if not torch.isfinite(v).all()]
    if broken:
        raise WeightsError(f"{origin}: values that are not finite in {shorten(broken)}")


def shorten(keys: Iterable[str]) -> str:
    """Return the first few keys, and how many more there are."""
    names = [str(key) for key in keys]
    rest = len(names) - NUM_KEYS_SHOWN
    return ", ".join(names[:NUM_KEYS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
