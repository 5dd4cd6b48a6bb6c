"""Train E-Net, which enlarges L-Net's faces and keeps the identity (paper 3.3, 4.1.3 and C.3).

    python train_enet.py --config configs/enet/paper.yaml --run_dir runs/enet

L-Net inside is frozen: it speaks the clip's own words on compressed, shrunk frames, and E-Net
learns to make the sharp frames of what it says. The same command continues a run.
"""

from __future__ import annotations

from pathlib import Path

from retalking.script import run_entry_point

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.enet import (
    ENetDataset,
    ENetDataSettings,
    ENetSample,
    enlarge,
    enlarge_degraded,
    film_talker,
)
from datasets.held_out import (
    HeldOutTalk,
    compare_pictures,
    open_lpips,
    read_held_out,
    without_changes,
)
from datasets.lnet import match_speech
from datasets.spoken_clips import LipAgreement, read_talkers
from losses.adversarial import Game, discriminator_loss, generator_loss, join_game, r1_penalty
from losses.identity import align_faces, identity_loss
from losses.perceptual import perceptual
from losses.reconstruction import gradient_l1, l1
from losses.sync import sync_loss
from losses.teachers import PerceptualKind, load_arcface, load_features, load_sync_expert
from losses.weighted_sum import mean_terms, weighted_sum
from models import initialisation, weights
from models.blocks.lower_half import lower_half
from models.discriminator import DiscriminatorConfig, PatchDiscriminator, critic_path, open_critic
from models.enet import ENet, ENetConfig
from models.lnet import LNet
from models.syncnet import SyncExpert
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.face.crops import Pads, lip_stretch
from retalking.face.landmarks import LiteLandmarker
from retalking.metrics.face_crops import sharpness
from retalking.metrics.image_quality import psnr
from retalking.networks.lip_calls import shrink_for_expert, view_of_expert
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.record.films import Film
from retalking.training.scores import average_samples
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare


class ENetLoss(Schema):
    """Weights of the terms of Eq. 14, and what stabilises its game."""

    l1: float = Field(ge=0)
    gradient_l1: float = Field(ge=0)
    """Of the picture's gradients, against blur; not in the paper."""
    perceptual: float = Field(ge=0)
    adversarial: float = Field(ge=0)
    """0 trains no discriminator."""
    identity: float = Field(ge=0)
    sync: float = Field(ge=0)
    """Of the lip-sync expert, which Section 4.1.3 lists and Eq. 14 does not."""
    game: Game
    critic_start: int = Field(ge=0)
    """Update from which the discriminator learns."""
    adversarial_start: int = Field(ge=0)
    """Update from which E-Net listens to it."""
    adversarial_share: float | None = Field(gt=0)
    """Longest gradient of the game in the last layer over that of all other terms together; the
    weight is lowered to it (as Esser et al. 2021 set theirs). Null keeps it, as in the paper."""
    r1_gamma: float = Field(ge=0)
    """Of the gradient penalty on real faces (Mescheder et al. 2018); 0 as in the paper."""
    r1_every: int = Field(ge=1)
    """Updates per penalty, which then counts as often (Karras et al. 2020)."""


class ENetTraining(TrainingConfig):
    """Everything about a run."""

    model: ENetConfig
    init: Path | None
    """Weights to begin with, ours or ENet.pth, of the widths of ``model``."""
    lnet: Path | None
    """Weights of the L-Net inside, ours or LNet.pth; null only where ``init`` is ours."""
    audio_encoder: Path | None
    """Weights of ``train_audio.py``, for ``data.matched_speech``."""
    sync_expert: Path | None
    """Weights of ``train_syncnet.py`` or Wav2Lip's, for ``loss.sync``."""
    discriminator: DiscriminatorConfig
    discriminator_init: Path | None
    """Weights of a discriminator (``critic-*.safetensors`` of a run) to begin with; null takes the
    one that lies beside ``init``, if there is one."""
    optimizer: OptimizerSettings
    discriminator_optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: ENetDataSettings
    loss: ENetLoss
    perceptual: PerceptualKind
    perceptual_weights: Path | None
    arcface: Path | None
    validation: HeldOutTalk


def build(config: ENetTraining) -> ENet:
    """Make the network with its frozen L-Net.

    Raises:
        ConfigError: no weights for the L-Net inside, or weights of other widths.
        WeightsError: a file is absent or does not fit.
    """
    if config.init is None and config.lnet is None:
        raise ConfigError("lnet: got null, expected the weights of a trained L-Net")
    net = initialisation.build(ENet, config.model, config.init, "ENet", config.lnet)
    if config.lnet is not None:
        lnet = initialisation.build(LNet, config.model.lnet, config.lnet, "LNet")
        net.low_res.load_state_dict(lnet.state_dict())
    net.low_res.requires_grad_(False)
    return net


def judge(critic: PatchDiscriminator, faces: Tensor, batch: ENetSample) -> Tensor:
    """Let the discriminator look at faces ``[N, 3, S, S]``, and at their references if it does."""
    if critic.config.in_channels == 6:
        faces = torch.cat([faces, batch.references.flatten(0, 1)], dim=1)
    return critic(faces)


def train(config: ENetTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    device, loss = job.ranks.device, config.loss
    teacher = load_features(config.perceptual, config.perceptual_weights, 4, device)
    arcface, stretch = load_arcface(config.arcface, device), lip_stretch(Pads())
    expert = load_sync_expert(config.sync_expert, device, config.data.num_frames)
    net = build(config)
    critic = open_critic(config.discriminator, config.discriminator_init, config.init)
    for network in (net, critic):
        prepare(network, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    optimizer = config.discriminator_optimizer
    critic_updater = Updater(critic.parameters(), optimizer, config.compute, job.ranks)
    matched = match_speech(config.data, config.audio_encoder)
    dataset = ENetDataset(config.data, config.loop.seed, matched)
    validate = Validator(config, ema.network, job.ranks, expert)

    def step(batch: ENetSample, index: int) -> dict[str, Tensor]:
        net.train()
        net.low_res.eval()
        critic.requires_grad_(False)
        made, logs = [], []
        for micro in updater.micro_batches(batch):
            target = micro.faces.flatten(0, 1)
            with updater.autocast():
                output, _ = enlarge(net, micro)
                terms = {"l1": l1(output, target), "gradient_l1": gradient_l1(output, target)}
                if teacher is not None:
                    with torch.no_grad():
                        wanted = teacher(target)
                    terms["perceptual"] = perceptual(teacher(output), wanted)
                if arcface is not None:
                    points = micro.landmarks_px.flatten(0, 1)
                    both = (output, target)
                    aligned = (align_faces(rgb * 2 - 1, points, stretch) for rgb in both)
                    terms["identity"] = identity_loss(arcface, *aligned)
                if expert is not None:
                    seen = lower_half(shrink_for_expert(output)).unflatten(0, micro.faces.shape[:2])
                    heard, lips = expert(micro.expert_mel, view_of_expert(seen))
                    terms["sync"] = sync_loss(lips, heard)
                total, log = weighted_sum(terms, {name: getattr(loss, name) for name in terms})
                if loss.adversarial > 0:
                    weight = loss.adversarial if index >= loss.adversarial_start else 0.0
                    game = generator_loss(judge(critic, output, micro), loss.game)
                    layer, most = [*net.to_rgbs[-1].parameters()], loss.adversarial_share
                    total, found = join_game(total, game, output, layer, weight, most)
                    log |= found
            updater.backward(total)
            made.append(output.detach())
            logs.append(log)
        gradient_norm = updater.apply(index)
        ema.update()
        log = {**mean_terms(logs), "gradient_norm": gradient_norm}
        return log if loss.adversarial == 0 else {**log, **teach_critic(batch, made, index)}

    def teach_critic(batch: ENetSample, made: list[Tensor], index: int) -> dict[str, Tensor]:
        critic.requires_grad_(True)
        learns = index >= loss.critic_start
        punished = loss.r1_gamma > 0 and index % loss.r1_every == 0
        logs = []
        for micro, fake in zip(critic_updater.micro_batches(batch), made, strict=True):
            real = micro.faces.flatten(0, 1).requires_grad_(punished)
            with critic_updater.autocast():
                logits = judge(critic, real, micro), judge(critic, fake, micro)
                terms = {"critic": discriminator_loss(*logits, loss.game)}
            if loss.r1_gamma > 0:  # counted as often as it is left out, in the log too
                penalty = (
                    r1_penalty(judge(critic, real, micro), real) if punished else real.new_zeros(())
                )
                terms["r1"] = loss.r1_every * penalty
            factors = {"critic": 1.0, "r1": loss.r1_gamma}
            total, log = weighted_sum(terms, {name: factors[name] for name in terms})
            if learns:
                critic_updater.backward(total)
            logs.append({name: log[name] for name in terms})
        if learns:
            critic_updater.apply(index)
        return mean_terms(logs)

    def save(path: Path) -> None:
        weights.save(path, ema.network, initialisation.describe_base(config.init))
        if loss.adversarial > 0:
            weights.save(critic_path(path), critic)

    return run(
        config,
        job,
        state={
            "net": net,
            "ema": ema,
            "updater": updater,
            "critic": critic,
            "critic_updater": critic_updater,
        },
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=save,
    )


class Validator:
    """Validation: likeness of pictures, and whether the enlarged lips still follow the speech."""

    def __init__(self, config: ENetTraining, net: ENet, ranks: Ranks, expert: SyncExpert | None):
        """Read what is judged."""
        settings, data = config.validation, config.data
        self._net, self._ranks = net, ranks
        self._quality = torch.tensor([sum(data.jpeg_quality) / 2], device=ranks.device)
        self._lpips = open_lpips(settings.lpips_weights, ranks.device)
        still = without_changes(data, settings.splits)
        dataset = ENetDataset(still.model_copy(update={"mel_lead_frames": 0}), seed=0)
        self._batches: list[ENetSample] = read_held_out(dataset, settings.num_samples, ranks)
        where = data.store, settings.splits, data.size_px
        (self._talker,) = read_talkers(*where, 1, settings.film_frames)
        faces = read_talkers(*where, settings.num_clips, settings.clip_frames, settings.clip_frames)
        landmarker = LiteLandmarker.from_file(device=ranks.device)
        self._agreement = LipAgreement(faces, landmarker, ranks, expert)

    @torch.no_grad()
    def __call__(self) -> Validation:
        """Judge the current weights."""
        found, rows = [], []
        for batch in self._batches:
            target = batch.faces[0]
            output, low_res = enlarge(self._net, batch)
            output = output.clamp(0, 1)
            plain = F.interpolate(low_res, target.shape[-2:], mode="bicubic").clamp(0, 1)
            scores = compare_pictures(output, target, self._lpips)
            scores["bicubic_psnr_db"] = float(psnr(plain, target))
            scores["sharpness"] = float((sharpness(output) / sharpness(target)).mean())
            found.append(scores)
            rows.append(torch.stack([plain[0], output[0], target[0]]))
        scores = average_samples(found, self._ranks) | self._agreement.score(self._speak)
        if not self._ranks.is_main:
            return Validation(scores)
        frames = film_talker(self._net, self._talker, self._quality)
        return Validation(
            scores,
            {"bicubic_made_truth": torch.stack(rows[:8])},
            {"bicubic_made_truth": Film(frames, self._talker.sound)},
        )

    def _speak(self, mels: Tensor, faces: Tensor, references: Tensor) -> Tensor:
        quality = self._quality.expand(len(mels))
        return enlarge_degraded(self._net, mels, faces, references, quality)[0]


if __name__ == "__main__":
    run_entry_point(lambda: launch("Train E-Net.", ENetTraining, train))
