"""Train the lite landmark network on the labels of scripts/lite/label_landmarks.py.

    python -m scripts.lite.train_landmarks --config configs/landmarks/lite.yaml \
        --set data.labels=/tmp/labels --run-dir runs/landmarks

Photographs whose name hashes to an odd number stay out of the training; validation judges on them.
"""

from __future__ import annotations

from retalking.script import run_entry_point

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.held_out import read_held_out
from datasets.landmarks import LandmarkDataSettings, LandmarkSample, LandmarkSamples
from losses.weighted_sum import mean_terms
from models import weights
from models.landmarks import LandmarkNet, LandmarkNetConfig
from retalking.ibug68 import JAW, LOWER_INNER_LIP, MOUTH, UPPER_INNER_LIP
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.scores import average_samples
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare


class LandmarkTraining(TrainingConfig):
    """Everything about a run."""

    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: LandmarkDataSettings
    lips: float = Field(ge=0)
    """How much the error of the lips' opening counts beside that of the points."""
    face: float = Field(ge=0)
    """How much it counts whether a crop shows a face."""
    validation_samples: int = Field(ge=1)


def train(config: LandmarkTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    net = LandmarkNet(LandmarkNetConfig())
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    draws = LandmarkSamples(config.data, config.loop.seed)
    others = LandmarkSamples(config.data, seed=0, held_out=True)
    held_out = read_held_out(others, config.validation_samples, job.ranks)

    def judge(network: LandmarkNet, batch: LandmarkSample) -> dict[str, Tensor]:
        predicted, logits = network(batch.crop.permute(0, 3, 1, 2).float() / 255)
        terms = compute_losses(
            predicted.float(), logits.float(), batch.points, batch.visible, batch.is_face
        )
        return dict(zip(("points", "lips", "face"), terms, strict=True))

    def step(batch: LandmarkSample, index: int) -> dict[str, Tensor]:
        net.train()
        logs = []
        for part in updater.micro_batches(batch):
            with updater.autocast():
                terms = judge(net, part)
            updater.backward(
                terms["points"] + config.lips * terms["lips"] + config.face * terms["face"]
            )
            logs.append({name: value.detach() for name, value in terms.items()})
        gradient_norm = updater.apply(index)
        ema.update()
        return {**mean_terms(logs), "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        terms = [judge(ema.network, batch) for batch in held_out]
        found = [{name: float(value) for name, value in each.items()} for each in terms]
        return Validation(average_samples(found, job.ranks))

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(draws, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
    )


def compute_losses(
    predicted: Tensor, logits: Tensor, points: Tensor, visible: Tensor, is_face: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return point error, error of the lip opening (both in crop sides) and face cross-entropy.

    Args:
        predicted: ``[B, 68, 3]``.
        logits: ``[B]``.
        points: ``[B, 68, 3]`` teacher's points.
        visible: ``[B, 68]`` 1 where the point counts: inside the crop of a face.
        is_face: ``[B]`` 1 face, 0 none, -1 neither counts.
    """
    importance = points.new_ones(68)
    importance[JAW] = 0.6  # the teacher's jaw points slide along the jaw
    importance[MOUTH] = 1.5
    importance = importance[:, None] * points.new_tensor([1.0, 1.0, 0.3])
    error = (predicted - points).abs() * importance * visible[..., None]
    point_loss = error.sum() / (visible.sum() * 2.3).clamp(min=1)
    off = (predicted - points)[..., :2]
    opening = off[:, LOWER_INNER_LIP] - off[:, UPPER_INNER_LIP]
    both = visible[:, LOWER_INNER_LIP] * visible[:, UPPER_INNER_LIP]
    lip_loss = (opening.abs().sum(2) * both).sum() / (both.sum() * 2).clamp(min=1)
    counts = is_face >= 0
    entropy = F.binary_cross_entropy_with_logits(logits[counts], is_face[counts], reduction="sum")
    return point_loss, lip_loss, entropy / counts.sum().clamp(min=1)


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train the lite landmark network.", LandmarkTraining, train))
