"""Where curves and pictures of a run are shown: TensorBoard, Weights & Biases, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from retalking.errors import ConfigError, RetalkingError
from retalking.files import replacing
from retalking.media.images import to_uint8
from retalking.training.settings import Logger


class Curves(Protocol):
    """Something that shows numbers and pictures over the updates of a run."""

    def add_numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each name."""

    def add_picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show ``[3, H, W]`` in [0, 1]."""

    def add_film(self, step: int, name: str, path: Path) -> None:
        """Show a film file, if there is a way."""

    def close(self) -> None:
        """Hand over what is left."""


class TensorBoardCurves:
    """Event files in the run folder; films are beside them (its own need another package)."""

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def add_numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def add_picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show ``[3, H, W]`` in [0, 1]."""
        self._writer.add_image(name, picture, step)
        self._writer.flush()

    def add_film(self, step: int, name: str, path: Path) -> None:
        """Leave it where it is."""

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WandbCurves:
    """A run of Weights & Biases, which a continued training continues.

    Its own environment variables apply: ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and so on.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin or continue the run.

        Args:
            folder: of the training; keeps the run's name in ``wandb-run.txt``.
            settings: shown with the run.

        Raises:
            ConfigError: the package is not installed.
            RetalkingError: there is no run to be had, for instance without a key.
        """
        try:
            import wandb  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigError(
                "loop.logger: Weights & Biases is not installed; pip install -r "
                "requirements-wandb.txt, or set loop.logger=tensorboard"
            ) from None
        self._wandb: Any = wandb
        known = folder / "wandb-run.txt"
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "retalking"),
                name=folder.resolve().name,
                id=known.read_text(encoding="utf-8").strip() if known.is_file() else None,
                resume="allow",
                dir=str(folder),
                config=dict(settings),
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise RetalkingError(
                f"loop.logger: Weights & Biases: {reason}; log in with 'wandb login', or set "
                "WANDB_MODE=offline"
            ) from None
        with replacing(known) as partial:
            partial.write_text(f"{self._run.id}\n", encoding="utf-8")
        # A run that goes back to its last checkpoint counts some updates twice, which its own
        # counter does not allow.
        self._run.define_metric("update")
        self._run.define_metric("*", step_metric="update")

    def add_numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each name."""
        self._run.log({"update": step, **values})

    def add_picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show ``[3, H, W]`` in [0, 1]."""
        self._run.log({"update": step, name: self._wandb.Image(to_uint8(picture[None])[0])})

    def add_film(self, step: int, name: str, path: Path) -> None:
        """Upload a film with its sound."""
        self._run.log({"update": step, f"films/{name}": self._wandb.Video(str(path), format="mp4")})

    def close(self) -> None:
        """Upload what is left."""
        self._run.finish()


def open_curves(
    logger: Logger, folder: Path, step: int, settings: Mapping[str, Any]
) -> list[Curves]:
    """Open what the recipe wants, continuing after ``step``.

    Raises:
        ConfigError: Weights & Biases is wanted, but not installed.
        RetalkingError: it gives no run.
    """
    found: list[Curves] = []
    if logger in ("wandb", "both"):
        found.append(WandbCurves(folder, settings))
    if logger in ("tensorboard", "both"):
        found.append(TensorBoardCurves(folder, step))
    return found
