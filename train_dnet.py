"""Train D-Net, which gives a face another expression (paper 3.1, 4.1.1 and appendix C.1).

    python train_dnet.py --config configs/dnet/paper.yaml --run_dir runs/dnet

Two frames of a clip: one is to be turned into the other by the other's coefficients. Stage 1 trains
the mapping and the warping network alone, stage 2 everything. The same command continues a run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from datasets.dnet import DNetDataSettings, DNetDraws, DNetSample
from datasets.held_out import HeldOutSettings, read_held_out, without_changes
from losses.image_quality import psnr, ssim
from losses.perceptual import perceptual
from losses.reconstruction import gradient_l1, l1
from losses.style import style
from losses.teachers import PerceptualKind, load_features
from losses.weighted_sum import mean_terms, weighted_sum
from models import initial, weights
from models.dnet import DNet, DNetConfig
from retalking.batches import read_batches
from retalking.config import Schema
from retalking.ema import Ema
from retalking.launch import launch
from retalking.optimization import OptimizerSettings, Updater, prepare
from retalking.training import Job, TrainingConfig, Validation, run


class DNetLoss(Schema):
    """Weights of the terms; those of pixels are for recipes without a teacher, not the paper's."""

    warp_perceptual: float = Field(ge=0)
    """Eq. 1, on the warped picture."""
    perceptual: float = Field(ge=0)
    """Lambda c of Eq. 4."""
    style: float = Field(ge=0)
    """Lambda s of Eq. 4."""
    warp_l1: float = Field(ge=0)
    l1: float = Field(ge=0)
    gradient_l1: float = Field(ge=0)


class DNetTraining(TrainingConfig):
    """Everything about a run."""

    model: DNetConfig
    init: Path | None
    """Weights to begin with, ours or DNet.pt, of the widths of ``model``."""
    warp_steps: int = Field(ge=0)
    """Length of stage 1."""
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: DNetDataSettings
    loss: DNetLoss
    perceptual: PerceptualKind
    perceptual_weights: Path | None
    validation: HeldOutSettings


def edit(net: DNet, batch: DNetSample, warp_only: bool) -> tuple[Tensor, Tensor | None]:
    """Return warped and edited pictures ``[B, 3, S, S]`` in [0, 1], the latter in stage 2 only."""
    made = net(batch.sources * 2 - 1, batch.windows, warp_only)
    edited = None if made.edited is None else (made.edited.float() + 1) / 2
    return (made.warped.float() + 1) / 2, edited


def train(config: DNetTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    device = job.ranks.device
    teacher = load_features(config.perceptual, config.perceptual_weights, 4, device)
    net = initial.build(DNet, config.model, config.init, "DNet")
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    draws = DNetDraws(config.data, config.loop.seed)
    others = DNetDraws(without_changes(config.data, config.validation.splits), seed=0)
    held_out = read_held_out(others, config.validation.num_samples, device)
    factors = config.loss.model_dump()
    if teacher is None:
        factors = {name: factors[name] for name in ("warp_l1", "l1", "gradient_l1")}

    def step(batch: DNetSample, index: int) -> dict[str, Tensor]:
        net.train()
        warp_only = index < config.warp_steps
        parts = []
        for part in updater.micro_batches(batch):
            with updater.autocast():
                warped, edited = edit(net, part, warp_only)
                terms = {"warp_l1": l1(warped, part.targets)}
                if teacher is not None:
                    with torch.no_grad():
                        wanted = teacher(part.targets)
                    terms["warp_perceptual"] = perceptual(teacher(warped), wanted)
                if edited is not None:
                    terms["l1"] = l1(edited, part.targets)
                    terms["gradient_l1"] = gradient_l1(edited, part.targets)
                if edited is not None and teacher is not None:
                    features = teacher(edited)
                    terms["perceptual"] = perceptual(features, wanted)
                    terms["style"] = style(features, wanted)
                total, log = weighted_sum(terms, {name: factors[name] for name in terms})
            updater.backward(total)
            parts.append(log)
        gradient_norm = updater.apply(index)
        ema.update()
        absent = {name: torch.zeros((), device=device) for name in factors}
        return {**absent, **mean_terms(parts), "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        scores: dict[str, list[float]] = {}
        rows = []
        for batch in held_out:
            warped, edited = edit(ema.network, batch, warp_only=False)
            assert edited is not None
            found = {
                "warp_l1": l1(warped, batch.targets),
                "l1": l1(edited, batch.targets),
                "psnr_db": psnr(edited, batch.targets),
                "ssim": ssim(edited, batch.targets),
            }
            for name, value in found.items():
                scores.setdefault(name, []).append(float(value))
            rows.append(torch.cat([batch.sources, batch.targets, warped, edited]))
        means = {name: sum(values) / len(values) for name, values in scores.items()}
        return Validation(means, {"source_target_warped_edited": torch.stack(rows[:8])})

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(
            draws, config.loop.batch_size, start, config.loop.num_workers, job.ranks
        ),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
    )


if __name__ == "__main__":
    sys.exit(launch("Train D-Net.", DNetTraining, train))
