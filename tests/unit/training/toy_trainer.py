"""A complete trainer of a few hundred weights: what tests of the shared loop run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from losses.reconstruction import gradient_l1, l1
from losses.sync import SyncSchedule
from losses.weighted_sum import mean_terms, weighted_sum
from models import weights
from retalking.errors import MediaError
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare

NUM_DRAWS = 10**9
"""Draws from here on are for validation."""

CONFIG = """\
loop:
  seed: 7
  num_steps: 12
  batch_size: 4
  num_workers: 0
  log_every: 3
  validate_every: 5
  save_every: 4
  keep_last: 2
  logger: tensorboard
  best_metric: l1
  best_is: lowest
  patience: null
  tolerance:
    bad_samples: 2
    bad_batches: 1
    rollbacks: 2
    loader_restarts: 1
    loader_timeout_s: 60
compute:
  precision: fp32
  accumulate: 1
  checkpointing: false
  compile: false
  channels_last: false
  batch_norm: ranks
  deterministic: true
optimizer:
  learning_rate: 3e-3
  betas: [0.9, 0.999]
  warmup_steps: 3
  decay_steps: null
  step_decay: null
  clip_norm: 1
model:
  width: 4
  dropout: 0.2
  batch_norm: true
ema_decay: 0.9
nan_draws: []
unreadable_draws: []
"""


class ToyConfig(TrainingConfig):
    optimizer: OptimizerSettings
    model: ToyNetConfig
    ema_decay: float
    nan_draws: tuple[int, ...]
    unreadable_draws: tuple[int, ...]


class ToyBatch(NamedTuple):
    picture: Tensor
    target: Tensor
    clip_ids: list[str]


class ToyDataset:
    """Noise and its mirror image."""

    def __init__(self, config: ToyConfig) -> None:
        self._seed = config.loop.seed
        self._config = config

    def __getitem__(self, draw: int) -> ToyBatch:
        if draw in self._config.unreadable_draws:
            raise MediaError(f"clip{draw}: cannot be read")
        noise = np.random.default_rng((self._seed, draw)).random((3, 8, 8), np.float32)
        picture = torch.from_numpy(noise)
        if draw in self._config.nan_draws:
            picture = picture * torch.nan
        return ToyBatch(picture, picture.flip(-1), f"clip{draw}")  # type: ignore[arg-type]


@dataclass(frozen=True)
class ToyNetConfig:
    width: int
    dropout: float
    batch_norm: bool


class ToyNet(nn.Module):
    def __init__(self, config: ToyNetConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            # A bias before batch norm has no gradient but rounding noise, which Adam blows up.
            nn.Conv2d(3, config.width, 3, padding=1, bias=not config.batch_norm),
            nn.BatchNorm2d(config.width) if config.batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Dropout(config.dropout),
            nn.Conv2d(config.width, 3, 3, padding=1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture)


def train(config: ToyConfig, job: Job) -> int:
    net = ToyNet(config.model)
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    schedule = SyncSchedule(weight=0.5, threshold=0.6)
    dataset = ToyDataset(config)
    judged: ToyBatch = default_collate([dataset[NUM_DRAWS + n] for n in range(4)])

    def step(batch: ToyBatch, index: int) -> dict[str, Tensor]:
        net.train()
        parts = []
        for part in updater.micro_batches(batch):
            with updater.autocast():
                output = net(part.picture)
                terms = {"l1": l1(output, part.target), "edges": gradient_l1(output, part.target)}
                total, log = weighted_sum(terms, {"l1": 1.0, "edges": schedule.weight})
            updater.backward(total)
            parts.append(log)
        gradient_norm = updater.apply(index)
        ema.update()
        return {**mean_terms(parts), "gradient_norm": gradient_norm}

    def validate() -> Validation:
        with torch.no_grad():
            output = ema.network(judged.picture.to(job.ranks.device))
        torch.rand(3)  # a validation may draw random numbers
        score = l1(output, judged.target.to(job.ranks.device))
        return Validation({"l1": score.item()}, {"mirrored": output})

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater, "schedule": schedule},
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
        observe=lambda scores: schedule.observe(scores["l1"]),
    )


def main(config: Path, run_dir: Path, *settings: str) -> int:
    overrides = [part for setting in settings for part in ("--set", setting)]
    arguments = ["--config", str(config), "--run_dir", str(run_dir), "--device", "cpu"]
    torch.set_num_threads(1)
    return launch("Train a toy.", ToyConfig, train, arguments + overrides)


def child(config: Path, run_dir: Path, *settings: str) -> None:
    """Run ``main`` as a process of its own."""
    sys.exit(main(config, run_dir, *settings))
