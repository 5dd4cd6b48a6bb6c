"""Train the network that tells the shape of the lips from what is heard.

    python train_lips.py --config configs/lips/lite.yaml --run_dir runs/lips

The store needs the part ``heard`` (``python -m scripts.prepare.extend_store STORE heard``), so no
encoder runs here. Not in the paper, whose L-Net goes from speech to pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retalking.script import run_entry_point

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.lips import (
    HEARD,
    STEPS_PER_FRAME,
    LipDataSettings,
    LipDraws,
    LipSample,
    read_clean,
    read_shapes,
)
from datasets.store.reader import ClipFilter, Store
from losses.lips import lip_losses
from models import weights
from models.speech.lip_shapes import LipShapeConfig, LipShapeNet
from retalking.coefficients.basis import ExpressionBasis
from retalking.config import Schema
from retalking.face.lip_motion import correlate
from retalking.mouth.warp.lip_measures import OPENING
from retalking.speech.lip_shapes import SHAPE_NAMES
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare
from retalking.types import BoolArray, FloatArray

_CLOSED_SHARE, _RESTING_SHARE = 0.05, 0.1
_RESTING_FRAMES = 8


class LipLossSettings(Schema):
    """What is asked of the guesses."""

    shapes: tuple[float, ...] = Field(min_length=5, max_length=5)
    """Weights of the shapes, in the order of ``lip_measures``."""
    closed: float = Field(ge=0)
    """Further weight of frames whose lips are closed."""
    uncertainty: float = Field(ge=0)
    """Weight of the likelihood of the errors under the variance that is told."""


class LipTraining(TrainingConfig):
    """Everything about a run."""

    model: LipShapeConfig
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: LipDataSettings
    noise: float = Field(ge=0)
    """Standard deviation of noise on the features, in theirs."""
    loss: LipLossSettings
    validation_splits: tuple[str, ...] = Field(strict=False)
    """Each is judged by itself."""
    least_frames: int = Field(ge=2)
    """Shorter clips are not judged."""


def train(config: LipTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    mean_shape = ExpressionBasis.from_file().mean_shape
    draws = LipDraws(config.data, config.loop.seed, mean_shape)
    net = LipShapeNet(config.model)
    mean, spread = draws.feature_statistics()
    net.feature_mean.copy_(torch.from_numpy(mean))
    net.feature_spread.copy_(torch.from_numpy(spread))
    net.closed.copy_(torch.from_numpy(closed_lips(draws.shapes)))
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    judged = {split: _read_judged(config, split, mean_shape) for split in config.validation_splits}

    def step(batch: LipSample, index: int) -> dict[str, Tensor]:
        net.train()
        totals = []
        for part in updater.micro_batches(batch):
            grain = torch.randn_like(part.heard) * net.feature_spread[:, None]
            with updater.autocast():
                guess = net.guess_each(part.heard + config.noise * grain)
            losses = lip_losses(
                guess, part.steps, part.shapes, config.loss.shapes, config.loss.closed
            )
            updater.backward(losses.error + config.loss.uncertainty * losses.uncertainty)
            totals.append(torch.stack(losses).detach())
        gradient_norm = updater.apply(index)
        ema.update()
        error, uncertainty = torch.stack(totals).mean(dim=0)
        return {"error": error, "uncertainty": uncertainty, "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        scores: dict[str, float] = {}
        spreads: list[FloatArray] = []
        for split, clips in judged.items():
            own = job.ranks.share(clips)
            heard = [_listen(ema.network, clip.heard, job.ranks.device) for clip in own]
            guesses = job.ranks.gather(heard)
            scores |= _score(split, guesses, clips)
            spreads += [guess.std(axis=0) for guess in guesses]
        # A guess moves less than lips do; at this gain it moves as much, on people not trained on.
        gain = torch.from_numpy(1 / np.sqrt(np.square(spreads).mean(axis=0)))
        for network in (net, ema.network):
            network.gain.copy_(gain)
        return Validation(scores)

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(draws, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
    )


def closed_lips(clips: Sequence[FloatArray]) -> FloatArray:
    """Say what closed lips look like that do not speak.

    The opening is that of the most closed frames. What the lips do besides is taken from those that
    stay closed for longer than the sounds p, b and m, which make them narrow.

    Args:
        clips: shapes ``[F, 5]``.

    Returns:
        float32 ``[5]``.
    """
    every = np.concatenate(clips)
    closed = every[:, OPENING] <= np.quantile(every[:, OPENING], _RESTING_SHARE)
    ends = np.cumsum([len(clip) for clip in clips])[:-1]
    resting = np.concatenate([_long_runs(part, _RESTING_FRAMES) for part in np.split(closed, ends)])
    lips = every[resting if resting.any() else closed].mean(axis=0)
    most = np.quantile(every[:, OPENING], _CLOSED_SHARE)
    lips[OPENING] = every[every[:, OPENING] <= most, OPENING].mean()
    return lips.astype(np.float32)


def _long_runs(chosen: BoolArray, least: int) -> BoolArray:
    edges = np.flatnonzero(np.diff(np.pad(chosen, 1).astype(np.int8)))
    kept = np.zeros_like(chosen)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        kept[begin:end] = end - begin >= least
    return kept


class _Judged(NamedTuple):
    """Undisturbed speech ``[S, C]`` of a whole clip and its lips ``[F, 5]``."""

    heard: FloatArray
    shapes: FloatArray


def _read_judged(config: LipTraining, split: str, mean_shape: FloatArray) -> list[_Judged]:
    store = Store(config.data.store)
    needs = ClipFilter((split,), parts=(HEARD,), min_frames=config.least_frames, speech=True)
    shapes = read_shapes(store, store.select(needs).tolist(), mean_shape)
    return [_Judged(read_clean(store.clip(row)), lips) for row, lips in shapes.items()]


def _listen(net: LipShapeNet, heard: FloatArray, device: torch.device) -> FloatArray:
    features = torch.from_numpy(heard.T[None]).to(device)
    guess: FloatArray = net(features).mean[0].float().cpu().numpy().T
    return guess[::STEPS_PER_FRAME]


def _score(split: str, guesses: list[FloatArray], clips: list[_Judged]) -> dict[str, float]:
    pairs = list(zip(guesses, clips, strict=True))
    scores = {}
    for column, name in enumerate(SHAPE_NAMES):
        found = [correlate(guess[:, column], clip.shapes[:, column]) for guess, clip in pairs]
        scores[f"{split}_{name.replace(' ', '_')}"] = float(np.mean(found))
    scores[f"{split}_mean"] = float(np.mean(list(scores.values())))
    return scores


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train speech to lip shapes.", LipTraining, train))
