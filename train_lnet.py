"""Train L-Net, which paints lips that fit the speech (paper 3.2, 4.1.3 and appendix C.2).

    python train_lnet.py --config configs/lnet/lite.yaml --run_dir runs/lnet
    python train_lnet.py --config configs/lnet/paper.yaml --run_dir runs/finetuned \
        --set init=checkpoints/LNet.pth

The same command continues a run. Legend: ``B`` samples, ``T`` frames of each, ``S`` side in px.
"""

from __future__ import annotations

from pathlib import Path

from retalking.script import run_entry_point

import torch
from pydantic import Field
from torch import Tensor

from datasets.held_out import HeldOutClips, open_lpips, read_held_out, without_changes
from datasets.lnet import LNetDataset, LNetDataSettings, LNetSample, match_speech
from datasets.spoken_clips import LipAgreement, read_talkers
from losses.mouth import opening_loss, weigh_mouth
from losses.perceptual import perceptual
from losses.reconstruction import gradient_l1, l1, weighted_l1
from losses.sync import SyncSchedule, sync_loss, sync_probability
from losses.teachers import PerceptualKind, load_features, load_lip_reader, load_sync_expert
from losses.weighted_sum import mean_terms, weighted_sum
from models import initialisation, weights
from models.blocks.lower_half import lower_half
from models.lnet import LNet, LNetConfig
from models.speech.audio_opening import AudioOpening
from models.syncnet import SyncExpert
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.face.landmarks import LiteLandmarker
from retalking.media.images import to_tensor
from retalking.metrics.image_quality import psnr, ssim
from retalking.networks.lip_calls import paint_lips, view_of_expert
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.record.films import Film
from retalking.training.scores import average_samples
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare


class LNetLoss(Schema):
    """Weights of the terms of Eq. 9, and some of our own."""

    l1: float = Field(ge=0)
    mouth: float = Field(ge=1)
    """How much more a pixel of the mouth's box counts in the L1; 1 as in the paper."""
    gradient_l1: float = Field(ge=0)
    """Of the picture's gradients, against blur; not in the paper."""
    perceptual: float = Field(ge=0)
    sync: float = Field(ge=0)
    sync_threshold: float | None
    """Validation sync loss that switches the term on; null means from the start."""
    opening: float = Field(ge=0)
    """Of the distance between the painted and the true lip opening as our landmark network sees
    them; not in the paper."""


class LNetTraining(TrainingConfig):
    """Everything about a run."""

    model: LNetConfig
    init: Path | None
    """Weights to begin with, ours or LNet.pth; their widths must be those of ``model``."""
    audio_encoder: Path | None
    """Weights of ``train_audio.py`` for the audio encoder."""
    frozen_audio_steps: int = Field(ge=0)
    """Steps in which the audio encoder stays as it is, while the rest is too raw to teach it."""
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: LNetDataSettings
    loss: LNetLoss
    perceptual: PerceptualKind
    perceptual_weights: Path | None
    sync_expert: Path | None
    lip_reader: Path | None
    """Weights of our landmark network, for the opening term."""
    validation: HeldOutClips


def build(config: LNetTraining) -> LNet:
    """Make the network, with the weights that it begins with.

    Raises:
        ConfigError: those weights belong to a network of other widths.
        WeightsError: a file is absent or does not fit.
    """
    net = initialisation.build(LNet, config.model, config.init, "LNet")
    if config.audio_encoder is not None:
        warm = weights.load(config.audio_encoder, AudioOpening)
        got = (warm.config.base_channels, warm.config.channels)
        expected = (config.model.audio_base_channels, config.model.audio_channels)
        if got != expected:
            raise ConfigError(f"audio_encoder: got widths {got}, expected {expected} as in model")
        net.audio_encoder.load_state_dict(warm.audio_encoder.state_dict())
    return net


def train(config: LNetTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    device, size_px = job.ranks.device, config.data.size_px
    teacher = load_features(config.perceptual, config.perceptual_weights, 3, device)
    expert = load_sync_expert(config.sync_expert, device, config.data.num_frames)
    reader = load_lip_reader(config.lip_reader, device) if config.loss.opening else None
    net = build(config)
    base = initialisation.describe_base(config.init)
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    threshold = config.loss.sync_threshold
    schedule = SyncSchedule(config.loss.sync, float("inf") if threshold is None else threshold)
    matched = match_speech(config.data, config.audio_encoder)
    dataset = LNetDataset(config.data, config.loop.seed, matched=matched)
    validate = Validator(config, ema.network, job, expert)

    def step(batch: LNetSample, index: int) -> dict[str, Tensor]:
        net.train()
        learns = index >= config.frozen_audio_steps
        net.audio_encoder.train(learns).requires_grad_(learns)
        logs = []
        for micro in updater.micro_batches(batch):
            target = micro.faces.flatten(0, 1)
            mouth = weigh_mouth(micro.landmarks_px.flatten(0, 1), size_px, config.loss.mouth)
            with updater.autocast():
                references = micro.references.flatten(0, 1)
                output = paint_lips(net, micro.mels.flatten(0, 1), target, references).float()
                terms = {
                    "l1": weighted_l1(output, target, mouth),
                    "gradient_l1": gradient_l1(output, target),
                }
                factors = {"l1": config.loss.l1, "gradient_l1": config.loss.gradient_l1}
                if teacher is not None:
                    with torch.no_grad():
                        wanted = teacher(target)
                    terms["perceptual"] = perceptual(teacher(output), wanted)
                    factors["perceptual"] = config.loss.perceptual
                if expert is not None:
                    seen = view_of_expert(lower_half(output.view_as(micro.faces)))
                    heard, lips = expert(micro.expert_mel, seen)
                    terms["sync"] = sync_loss(lips, heard)
                    factors["sync"] = schedule.weight
                if reader is not None:
                    seen = reader(output, micro.landmarks_px.flatten(0, 1))
                    terms["opening"] = opening_loss(seen, micro.openings.flatten())
                    factors["opening"] = config.loss.opening
                total, log = weighted_sum(terms, factors)
            updater.backward(total)
            logs.append(log)
        gradient_norm = updater.apply(index)
        ema.update()
        return {**mean_terms(logs), "gradient_norm": gradient_norm}

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater, "schedule": schedule},
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network, base),
        observe=lambda scores: schedule.observe(scores.get("sync", float("inf"))),
    )


class Validator:
    """Validation: likeness of pictures, and whether the lips follow the speech."""

    def __init__(self, config: LNetTraining, net: LNet, job: Job, expert: SyncExpert | None):
        """Read what is judged."""
        settings, data = config.validation, config.data
        self._net, self._expert, self._ranks = net, expert, job.ranks
        self._lpips = open_lpips(settings.lpips_weights, job.ranks.device)
        still = without_changes(data, settings.splits)
        as_used = still.model_copy(update={"mel_lead_frames": 0})
        dataset = LNetDataset(as_used, seed=0)
        self._batches: list[LNetSample] = read_held_out(dataset, settings.num_samples, job.ranks)
        frames = settings.clip_frames
        faces = read_talkers(
            data.store, settings.splits, data.size_px, settings.num_clips, frames, least=frames
        )
        self._talker = faces[0]
        landmarker = LiteLandmarker.from_file(device=job.ranks.device)
        self._agreement = LipAgreement(faces, landmarker, job.ranks, expert)

    @torch.no_grad()
    def __call__(self) -> Validation:
        """Judge the current weights."""
        found, rows = [], []
        for batch in self._batches:
            target, references = batch.faces[0], batch.references[0]
            output = self._paint(batch.mels[0], target, references)
            scores = {
                "l1": l1(output, target),
                "lower_psnr_db": psnr(lower_half(output), lower_half(target)),
                "ssim": ssim(output, target),
            }
            if self._lpips is not None:
                scores["lpips"] = self._lpips(output, target)
            if self._expert is not None:
                seen = view_of_expert(lower_half(output)[None])
                heard, lips = self._expert(batch.expert_mel, seen)
                scores["sync"] = sync_loss(lips, heard)
                scores["sync_probability"] = sync_probability(lips, heard).mean()
            found.append({name: float(value) for name, value in scores.items()})
            rows.append(torch.stack([references[0], target[0], output[0]]))
        judged = average_samples(found, self._ranks) | self._agreement.score(self._paint)
        if not self._ranks.is_main:
            return Validation(judged)
        return Validation(
            judged,
            {"reference_truth_made": torch.stack(rows[:16])},
            {"reference_truth_made": Film(self._film(), self._talker.sound)},
        )

    def _paint(self, mels: Tensor, faces: Tensor, references: Tensor) -> Tensor:
        return paint_lips(self._net, mels, faces, references)

    def _film(self) -> Tensor:
        """Return a clip side by side with its references and its new lips, ``[T, 3, S, 3 S]``."""
        talker = self._talker
        references, faces = (
            to_tensor(rgb, self._ranks.device) for rgb in (talker.references, talker.faces)
        )
        mels = torch.from_numpy(talker.speech.mels).to(self._ranks.device)
        return torch.cat([references, faces, self._paint(mels, faces, references)], dim=3)


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train L-Net.", LNetTraining, train))
