"""Samples of other people, the same at every validation and without random changes."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from pydantic import Field
from torch.utils.data import default_collate

from retalking.batches import Draws, to_device
from retalking.config import Schema

Settings = TypeVar("Settings", bound=Schema)


class HeldOutSettings(Schema):
    """What is judged."""

    splits: tuple[str, ...] = Field(strict=False)
    """Whose people are in no training split."""
    num_samples: int = Field(ge=1)


def without_changes(settings: Settings, splits: tuple[str, ...]) -> Settings:
    """Return a loader's settings for other splits and without augmentation."""
    augment = settings.augment  # type: ignore[attr-defined]
    still = augment.model_copy(update=dict.fromkeys(type(augment).model_fields, 0.0))
    return settings.model_copy(update={"splits": dict.fromkeys(splits, 1.0), "augment": still})


def read_held_out(draws: Draws[Any], num_samples: int, device: torch.device) -> list[Any]:
    """Return the first samples as batches of one, so that every one counts the same."""
    return [to_device(default_collate([draws[number]]), device) for number in range(num_samples)]
