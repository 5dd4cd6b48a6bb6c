"""Action-unit activations of the upper-face expressions that the pipeline offers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from retalking.errors import ConfigError

ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""FACS numbers in the order of the network's input planes (OpenFace)."""

EXPRESSIONS: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "sad": MappingProxyType({}),
        "angry": MappingProxyType({4: 0.3}),
        "surprise": MappingProxyType({5: 0.2}),
    }
)
"""Activation per unit, 0..1 (OpenFace's intensity / 5), as upstream set them; others rest at 0."""


def expression_aus(name: str) -> Tensor:
    """Return the activations ``[1, 17]`` in [0, 1] of a named expression.

    Raises:
        ConfigError: the name is not in ``EXPRESSIONS``.
    """
    if name not in EXPRESSIONS:
        raise ConfigError(f"expression: got {name!r}, expected one of {', '.join(EXPRESSIONS)}")
    return torch.tensor([[EXPRESSIONS[name].get(unit, 0.0) for unit in ACTION_UNITS]])
