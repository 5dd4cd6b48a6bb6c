"""Train the lip-sync expert that judges L-Net (paper 3.2; Wav2Lip, Prajwal et al. 2020).

    python train_syncnet.py --config configs/syncnet/paper.yaml --run_dir runs/syncnet

A loss that stays near 0.69 for a long time is normal; 0.25 on clips of other people is a good end.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from datasets.held_out import HeldOutSettings, read_held_out, without_changes
from datasets.syncnet import SyncDataSettings, SyncDraws, SyncSample
from losses.sync import sync_cross_entropy, sync_probability
from models import weights
from models.initial import build
from models.layers import freeze_absorbed_biases
from models.syncnet import SyncExpert, SyncExpertConfig
from retalking.batches import read_batches
from retalking.ema import Ema
from retalking.launch import launch
from retalking.optimization import OptimizerSettings, Updater, prepare
from retalking.training import Job, TrainingConfig, Validation, run


class SyncTraining(TrainingConfig):
    """Everything about a run."""

    model: SyncExpertConfig
    init: Path | None
    """Weights to begin with, ours or lipsync_expert.pth, of the widths of ``model``."""
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: SyncDataSettings
    validation: HeldOutSettings


def judge(net: SyncExpert, batch: SyncSample) -> Tensor:
    """Return how probably lips and speech belong together, float32 ``[B]``."""
    # The expert sees BGR, as the released one does.
    frames = batch.faces.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
    heard, lips = net(batch.mels, frames)
    return sync_probability(lips, heard)


def train(config: SyncTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    net = build(SyncExpert, config.model, config.init, "lipsync_expert")
    freeze_absorbed_biases(net)
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    draws = SyncDraws(config.data, config.loop.seed)
    others = SyncDraws(without_changes(config.data, config.validation.splits), seed=0)
    held_out = read_held_out(others, config.validation.num_samples, job.ranks.device)

    def step(batch: SyncSample, index: int) -> dict[str, Tensor]:
        net.train()
        losses = []
        for part in updater.micro_batches(batch):
            with updater.autocast():
                loss = sync_cross_entropy(judge(net, part), part.is_synced)
            updater.backward(loss)
            losses.append(loss.detach())
        gradient_norm = updater.apply(index)
        ema.update()
        return {"loss": torch.stack(losses).mean(), "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        probability = torch.cat([judge(ema.network, batch) for batch in held_out])
        is_synced = torch.cat([batch.is_synced for batch in held_out])
        right = (probability > 0.5) == (is_synced > 0.5)
        scores = {
            "loss": sync_cross_entropy(probability, is_synced).item(),
            "accuracy": right.float().mean().item(),
        }
        return Validation(scores, {})

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
    sys.exit(launch("Train the lip-sync expert.", SyncTraining, train))
