"""Checks that every network config shares; a config that passes builds a network that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retalking.errors import ConfigError


def require(fits: bool, config: object, field: str, expected: str) -> None:
    """Raise ``ConfigError`` naming the config's class, field and value unless ``fits``."""
    if not fits:
        value = getattr(config, field)
        raise ConfigError(f"{type(config).__name__}.{field}: got {value!r}, expected {expected}")


def require_positive(config: object, *fields: str) -> None:
    """Require integers of at least one."""
    for field in fields:
        value = getattr(config, field)
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        require(is_integer and value > 0, config, field, "a positive integer")


def require_multiple(config: object, field: str, divisor: int, reason: str) -> None:
    """Require a positive multiple of ``divisor``."""
    require_positive(config, field)
    fits = getattr(config, field) % divisor == 0
    require(fits, config, field, f"a multiple of {divisor} ({reason})")


def require_choice(config: object, field: str, choices: Sequence[Any]) -> None:
    """Require one of ``choices``."""
    fits = getattr(config, field) in choices
    require(fits, config, field, "one of " + ", ".join(repr(choice) for choice in choices))
