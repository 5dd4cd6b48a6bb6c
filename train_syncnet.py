"""Train the lip-sync expert that judges L-Net (paper 3.2; Wav2Lip, Prajwal et al. 2020).

    python train_syncnet.py --config configs/syncnet/paper.yaml --run_dir runs/syncnet

A loss that stays near 0.69 for a long time is normal; 0.25 on clips of other people is a good end.
With ``contrast`` set, the expert tells the windows of a clip apart instead of judging single pairs,
which works with a hundredth of the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.augment import Disturbance
from datasets.held_out import HeldOutSettings, read_held_out, without_changes
from datasets.sync_groups import GroupSettings, SyncGroup, SyncGroups
from datasets.syncnet import SyncDataset, SyncDataSettings, SyncSample
from losses.sync import (
    contrastive_loss,
    group_cross_entropy,
    sync_cross_entropy,
    sync_probability,
)
from models import weights
from models.blocks.layers import freeze_absorbed_biases
from models.initialisation import build
from models.syncnet import SyncExpert, SyncExpertConfig
from retalking.config import Schema
from retalking.networks.lip_calls import view_of_expert
from retalking.training.batches import Dataset, read_batches
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare


class ContrastSettings(Schema):
    """Telling the windows of a clip apart; not in Wav2Lip."""

    group: GroupSettings
    disturb: Disturbance
    """Of the speech, all windows of a group alike."""
    temperature: float = Field(gt=0)
    """Difference of two cosines that makes one e times as likely as the other."""
    cross_entropy: float = Field(ge=0)
    """Weight of Wav2Lip's loss over all pairs of a group, which gives the cosine its scale."""
    opening: float = Field(ge=0)
    """Weight of regressing the lips' opening from either embedding, which starts the learning."""
    opening_steps: int = Field(ge=0)
    """Updates in which this is the only term; from scratch the others teach nothing."""


class SyncTraining(TrainingConfig):
    """Everything about a run."""

    model: SyncExpertConfig
    init: Path | None
    """Weights to begin with, ours or lipsync_expert.pth, of the widths of ``model``."""
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: SyncDataSettings
    contrast: ContrastSettings | None
    """null judges single pairs, as Wav2Lip does."""
    validation: HeldOutSettings


class PairObjective(nn.Module):
    """Wav2Lip's question: does this speech belong to these lips."""

    def open(self, data: SyncDataSettings, seed: int) -> Dataset[SyncSample]:
        """Return the samples."""
        return SyncDataset(data, seed)

    def open_held_out(self, data: SyncDataSettings, splits: tuple[str, ...]) -> Dataset[SyncSample]:
        """Return samples of other splits as they are."""
        return SyncDataset(without_changes(data, splits), seed=0)

    def forward(self, net: SyncExpert, batch: SyncSample, index: int) -> Tensor:
        """Return the loss, whatever the index of the update."""
        return sync_cross_entropy(self._judge(net, batch), batch.is_synced)

    def validate(
        self, net: SyncExpert, batches: list[SyncSample], ranks: Ranks
    ) -> dict[str, float]:
        """Judge by loss and by the share of right answers, on the batches of all ranks."""
        found = [(self._judge(net, batch).cpu(), batch.is_synced.cpu()) for batch in batches]
        probability, is_synced = map(torch.cat, zip(*ranks.gather(found), strict=True))
        right = (probability > 0.5) == (is_synced > 0.5)
        return {
            "loss": sync_cross_entropy(probability, is_synced).item(),
            "accuracy": right.float().mean().item(),
        }

    def _judge(self, net: SyncExpert, batch: SyncSample) -> Tensor:
        heard, lips = net(batch.mels, view_of_expert(batch.faces))
        return sync_probability(lips, heard)


class GroupObjective(nn.Module):
    """The contrastive question: which speech of a group belongs to which lips.

    Args:
        settings: terms and their weights.
        right_share: see ``group_cross_entropy``.
        model: of the expert.
    """

    def __init__(
        self, settings: ContrastSettings, right_share: float, model: SyncExpertConfig
    ) -> None:
        super().__init__()
        self._settings = settings
        self._right_share = right_share
        self.opening = nn.Linear(model.embedding_channels, model.num_frames)

    def open(self, data: SyncDataSettings, seed: int) -> Dataset[SyncGroup]:
        """Return the samples."""
        return SyncGroups(data, self._settings.group, seed, self._settings.disturb)

    def open_held_out(self, data: SyncDataSettings, splits: tuple[str, ...]) -> Dataset[SyncGroup]:
        """Return samples of other splits as they are."""
        still = self._settings.group.model_copy(update={"shift": 0.0, "zoom": 0.0})
        return SyncGroups(without_changes(data, splits), still, seed=0)

    def forward(self, net: SyncExpert, batch: SyncGroup, index: int) -> Tensor:
        """Return the loss of the update with this index."""
        settings = self._settings
        heard, lips = _embed(net, batch.mels, batch.faces)
        loss = batch.openings.new_zeros(())
        for embedding in (heard, lips):
            true = batch.openings[:, : embedding.shape[1]]
            read = self.opening(embedding).float()
            loss = loss + settings.opening * F.smooth_l1_loss(read, true)
        if index < settings.opening_steps:
            return loss
        cosine = _compare(lips, heard)
        loss = loss + contrastive_loss(cosine, settings.temperature)
        return loss + settings.cross_entropy * group_cross_entropy(cosine, self._right_share)

    def validate(self, net: SyncExpert, batches: list[SyncGroup], ranks: Ranks) -> dict[str, float]:
        """Judge by the contrastive loss and by how often the own speech is the nearest."""
        pairs = [_embed(net, batch.mels, batch.faces) for batch in batches]
        cosine = torch.cat(ranks.gather([_compare(lips, heard).cpu() for heard, lips in pairs]))
        own = torch.arange(cosine.shape[1])
        return {
            "loss": contrastive_loss(cosine, self._settings.temperature).item(),
            "accuracy": (cosine.argmax(2) == own).float().mean().item(),
            "cross_entropy": group_cross_entropy(cosine, self._right_share).item(),
        }


def _embed(net: SyncExpert, mels: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors of any length: ``[B, W, D]`` of speech and ``[B, V, D]`` of lips."""
    heard = net.audio_encoder(mels.flatten(0, 1)).flatten(1)
    lips = net.face_encoder(view_of_expert(faces.flatten(0, 1))).flatten(1)
    return heard.unflatten(0, mels.shape[:2]), lips.unflatten(0, faces.shape[:2])


def _compare(lips: Tensor, heard: Tensor) -> Tensor:
    """Return the cosines ``[B, V, W]``; autocast would round a matrix product."""
    lips, heard = F.normalize(lips.float(), dim=-1), F.normalize(heard.float(), dim=-1)
    return (lips[:, :, None] * heard[:, None]).sum(-1)


def train(config: SyncTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    net = build(SyncExpert, config.model, config.init, "lipsync_expert")
    objective: Any = PairObjective()
    if config.contrast is not None:
        objective = GroupObjective(config.contrast, config.data.positive_share, config.model)
    freeze_absorbed_biases(net)
    prepare(net, config.compute, job.ranks)
    prepare(objective, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    parameters = [*net.parameters(), *objective.parameters()]
    updater = Updater(parameters, config.optimizer, config.compute, job.ranks)
    dataset = objective.open(config.data, config.loop.seed)
    others = objective.open_held_out(config.data, config.validation.splits)
    held_out = read_held_out(others, config.validation.num_samples, job.ranks)

    def step(batch: SyncSample | SyncGroup, index: int) -> dict[str, Tensor]:
        net.train()
        losses = []
        for micro in updater.micro_batches(batch):
            with updater.autocast():
                loss = objective(net, micro, index)
            updater.backward(loss)
            losses.append(loss.detach())
        gradient_norm = updater.apply(index)
        ema.update()
        return {"loss": torch.stack(losses).mean(), "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        return Validation(objective.validate(ema.network, held_out, job.ranks))

    return run(
        config,
        job,
        state={"net": net, "objective": objective, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
    )


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train the lip-sync expert.", SyncTraining, train))
