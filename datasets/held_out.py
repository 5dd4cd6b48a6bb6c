"""Samples of other people, the same at every validation and without random changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import default_collate

from retalking.config import Schema
from retalking.errors import WeightsError
from retalking.metrics.image_quality import psnr, ssim
from retalking.metrics.lpips_distance import load_lpips
from retalking.training.batches import Dataset, to_device
from retalking.training.distributed import Ranks

Settings = TypeVar("Settings", bound=Schema)


class HeldOutSettings(Schema):
    """What is judged."""

    splits: tuple[str, ...] = Field(strict=False)
    """Whose people are in no training split."""
    num_samples: int = Field(ge=1)


class HeldOutPictures(HeldOutSettings):
    """What is judged of pictures."""

    lpips_weights: Path | None
    """AlexNet for LPIPS, torchvision's ``alexnet-owt-7be5be79.pth``; null leaves LPIPS out."""


class HeldOutClips(HeldOutPictures):
    """What is judged of pictures, and of whole clips."""

    num_clips: int = Field(ge=1)
    """For the agreement of lips and speech; each of another person."""
    clip_frames: int = Field(ge=10)


class HeldOutFilm(HeldOutPictures):
    """What is judged of pictures, and shown of a clip."""

    film_frames: int = Field(ge=1)
    """Most frames of the film in the run folder."""


class HeldOutTalk(HeldOutFilm, HeldOutClips):
    """All of these."""


def without_changes(settings: Settings, splits: tuple[str, ...]) -> Settings:
    """Return a loader's settings for other splits and without augmentation."""
    augment = settings.augment  # type: ignore[attr-defined]
    still = augment.model_copy(update=dict.fromkeys(type(augment).model_fields, 0.0))
    return settings.model_copy(update={"splits": dict.fromkeys(splits, 1.0), "augment": still})


def open_lpips(
    path: Path | None, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Load LPIPS, the mean over pictures ``[B, 3, H, W]`` in [0, 1]; ``None`` stays ``None``.

    Raises:
        WeightsError: the file is absent, another one, or does not fit.
    """
    if path is None:
        return None
    try:
        network = load_lpips({"alexnet": path}, device)
    except WeightsError as error:
        raise WeightsError(f"no LPIPS: {error}; or set 'validation.lpips_weights: null'") from None
    return lambda output, target: network(output, target, normalize=True).mean()


def read_held_out(dataset: Dataset[Any], num_samples: int, ranks: Ranks) -> list[Any]:
    """Return a rank's share of the first samples, each as a batch so that all count the same."""
    numbers = ranks.share(range(num_samples))
    return [to_device(default_collate([dataset[number]]), ranks.device) for number in numbers]


def compare_pictures(
    output: Tensor, target: Tensor, lpips: Callable[[Tensor, Tensor], Tensor] | None
) -> dict[str, float]:
    """Return how near made pictures are to the true ones, both ``[B, 3, H, W]`` in [0, 1]."""
    found = {
        "l1": (output - target).abs().mean(),
        "psnr_db": psnr(output, target),
        "ssim": ssim(output, target),
    }
    if lpips is not None:
        found["lpips"] = lpips(output, target)
    return {name: float(value) for name, value in found.items()}
