"""Train D-Net, which gives a face another expression (paper 3.1, 4.1.1 and appendix C.1).

    python train_dnet.py --config configs/dnet/paper.yaml --run_dir runs/dnet

Two frames of a clip: one is to be turned into the other by the other's coefficients. Stage 1 trains
the mapping and the warping network alone, stage 2 everything. The same command continues a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from retalking.script import run_entry_point

import torch
from pydantic import Field
from torch import Tensor

from datasets.dnet import DNetDataset, DNetDataSettings, DNetSample
from datasets.held_out import (
    HeldOutFilm,
    compare_pictures,
    open_lpips,
    read_held_out,
    without_changes,
)
from losses.motion import point_loss
from losses.mouth import opening_loss, weigh_mouth
from losses.perceptual import perceptual
from losses.reconstruction import gradient_l1, l1, weighted_l1
from losses.style import style
from losses.teachers import PerceptualKind, load_features, load_lip_reader
from losses.weighted_sum import mean_terms, weighted_sum
from models import initialisation, weights
from models.dnet import DNet, DNetConfig
from retalking.config import Schema
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.record.films import Film
from retalking.training.scores import average_samples
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare

MEASURED_DRAWS = 2000
"""Samples from which the coefficients' mean and deviation are taken."""


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
    mouth: float = Field(ge=1)
    """How much more a pixel of the mouth's box counts in both L1."""
    gradient_l1: float = Field(ge=0)
    points: float = Field(ge=0)
    """Of the flow at the target's landmarks, which must lead to the source's."""
    opening: float = Field(ge=0)
    """Of the distance between the made lips' opening and the wanted one, as our landmark network
    sees it."""


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
    lip_reader: Path | None
    """Weights of our landmark network, for the opening term."""
    validation: HeldOutFilm


class Edited(NamedTuple):
    """What D-Net made of a batch.

    Attributes:
        warped: ``[B, 3, S, S]`` in [0, 1].
        edited: like ``warped``, in stage 2 only.
        flow_px: float32 ``[B, 2, h, w]``.
    """

    warped: Tensor
    edited: Tensor | None
    flow_px: Tensor


def edit(net: DNet, batch: DNetSample, warp_only: bool) -> Edited:
    """Turn the sources into the targets by the targets' coefficients."""
    made = net(batch.sources * 2 - 1, batch.windows, warp_only)
    edited = None if made.edited is None else (made.edited.float() + 1) / 2
    return Edited((made.warped.float() + 1) / 2, edited, made.flow_px.float())


def film_face(net: DNet, frames: Tensor, windows: Tensor) -> Tensor:
    """Let the first face of a clip do what the clip does.

    Args:
        net: in evaluation mode.
        frames: ``[F, 3, S, S]`` in [0, 1].
        windows: ``[F, 73, 26]``.

    Returns:
        ``[F, 3, S, 3 S]``: the first face, what it was made to do, and the clip.
    """
    first = frames[:1]
    made = [net(first * 2 - 1, window[None]).edited.float() for window in windows]
    edited = ((torch.cat(made) + 1) / 2).clamp(0, 1)
    return torch.cat([first.expand_as(frames), edited, frames], dim=3)


def train(config: DNetTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    device = job.ranks.device
    teacher = load_features(config.perceptual, config.perceptual_weights, 4, device)
    dataset = DNetDataset(config.data, config.loop.seed)
    net = initialisation.build(DNet, config.model, config.init, "DNet")
    base = initialisation.describe_base(config.init)
    if config.model.standardised and config.init is None:
        net.mapping_net.measure(dataset.coefficients(MEASURED_DRAWS))
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    validate = Validator(config, ema.network, job.ranks)
    factors = config.loss.model_dump(exclude={"mouth"})
    if teacher is None:
        for name in ("warp_perceptual", "perceptual", "style"):
            del factors[name]
    reader = load_lip_reader(config.lip_reader, device) if config.loss.opening else None
    if reader is None:
        del factors["opening"]

    def step(batch: DNetSample, index: int) -> dict[str, Tensor]:
        net.train()
        warp_only = index < config.warp_steps
        logs = []
        for micro in updater.micro_batches(batch):
            with updater.autocast():
                warped, edited, flow_px = edit(net, micro, warp_only)
                points = (micro.source_points_px, micro.target_points_px)
                mouth = weigh_mouth(points[1], config.data.size_px, config.loss.mouth)
                terms = {
                    "points": point_loss(flow_px, *points, config.data.size_px, config.loss.mouth)
                }
                if reader is not None:
                    seen = reader(warped if edited is None else edited, points[1])
                    terms["opening"] = opening_loss(seen, micro.openings)
                # Where there is no true picture both sides are black, and only the points count.
                shown = micro.is_true[:, None, None, None]
                warped, targets = warped * shown, micro.targets * shown
                edited = None if edited is None else edited * shown
                terms["warp_l1"] = weighted_l1(warped, targets, mouth)
                if teacher is not None and not (warp_only and config.loss.warp_perceptual == 0):
                    with torch.no_grad():
                        wanted = teacher(targets)
                    terms["warp_perceptual"] = perceptual(teacher(warped), wanted)
                if edited is not None:
                    terms["l1"] = weighted_l1(edited, targets, mouth)
                    terms["gradient_l1"] = gradient_l1(edited, targets)
                if edited is not None and teacher is not None:
                    features = teacher(edited)
                    terms["perceptual"] = perceptual(features, wanted)
                    terms["style"] = style(*map(teacher.full_scale, (features, wanted)))
                total, log = weighted_sum(terms, {name: factors[name] for name in terms})
            updater.backward(total)
            logs.append(log)
        gradient_norm = updater.apply(index)
        ema.update()
        absent = {name: torch.zeros((), device=device) for name in factors}
        return {**absent, **mean_terms(logs), "gradient_norm": gradient_norm}

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network, base),
    )


class Validator:
    """Validation: likeness of pictures, and how well the flow follows other expressions."""

    def __init__(self, config: DNetTraining, net: DNet, ranks: Ranks) -> None:
        """Read what is judged."""
        settings = config.validation
        self._net, self._size_px, self._ranks = net, config.data.size_px, ranks
        self._lpips = open_lpips(settings.lpips_weights, ranks.device)
        still = without_changes(config.data, settings.splits)
        # Pairs of frames tell how the picture is; other expressions, where the scheme has them, how
        # well the flow follows the coefficients.
        pairs, others = (
            DNetDataset(still.model_copy(update={"exchanged": share}), seed=0)
            for share in (0.0, 1.0 if config.data.exchanged else 0.0)
        )
        self._pairs: list[DNetSample] = read_held_out(pairs, settings.num_samples, ranks)
        self._others: list[DNetSample] = read_held_out(others, settings.num_samples, ranks)
        frames, windows, self._sound = pairs.film(0, settings.film_frames)
        self._frames, self._windows = frames.to(ranks.device), windows.to(ranks.device)

    @torch.no_grad()
    def __call__(self) -> Validation:
        """Judge the current weights."""
        found, found_px, rows = [], [], []
        for batch in self._pairs:
            warped, edited, _ = edit(self._net, batch, warp_only=False)
            assert edited is not None
            scores = compare_pictures(edited, batch.targets, self._lpips)
            found.append({**scores, "warp_l1": float(l1(warped, batch.targets))})
            rows.append(torch.cat([batch.sources, batch.targets, warped, edited]))
        for batch in self._others:
            flow_px = edit(self._net, batch, warp_only=True).flow_px
            points = (batch.source_points_px, batch.target_points_px)
            miss_px = point_loss(flow_px, *points, self._size_px, lips=1)
            found_px.append({"points_px": float(miss_px)})
        scores = average_samples(found, self._ranks) | average_samples(found_px, self._ranks)
        if not self._ranks.is_main:
            return Validation(scores)
        film = Film(film_face(self._net, self._frames, self._windows), self._sound)
        return Validation(
            scores,
            {"source_target_warped_edited": torch.stack(rows[:8])},
            {"source_edited_target": film},
        )


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train D-Net.", DNetTraining, train))
