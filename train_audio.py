"""Warm L-Net's audio encoder up: regress the opening of the lips from the mel window alone.

    python train_audio.py --config configs/audio/lite.yaml --run_dir runs/audio

``train_lnet.py`` takes the best weights as ``audio_encoder``. Not in the paper, whose data are two
hundred times those of the lite recipe.
"""

from __future__ import annotations

from retalking.script import run_entry_point

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.augment import Disturbance
from datasets.speech import SpeechDataset, SpeechDataSettings, SpeechSample
from datasets.spoken_clips import choose_clips, read_speech
from datasets.store.reader import ClipFilter, Store
from models import weights
from models.speech.audio_opening import AudioOpening, AudioOpeningConfig
from retalking.face.lip_motion import correlate
from retalking.training.batches import read_batches
from retalking.training.cli import launch
from retalking.training.loop import Job, TrainingConfig, Validation, run
from retalking.training.scores import average_samples
from retalking.training.update.ema import Ema
from retalking.training.update.optimization import OptimizerSettings, Updater, prepare


class AudioTraining(TrainingConfig):
    """Everything about a run."""

    model: AudioOpeningConfig
    optimizer: OptimizerSettings
    ema_decay: float = Field(ge=0, lt=1)
    data: SpeechDataSettings
    disturb: Disturbance
    validation_splits: tuple[str, ...] = Field(strict=False)
    """Each is judged by itself."""
    validation_clips: int = Field(ge=1)
    """Most clips of a split."""


def train(config: AudioTraining, job: Job) -> int:
    """Train until ``config.loop.num_steps``; returns the number of updates done."""
    net = AudioOpening(config.model)
    prepare(net, config.compute, job.ranks)
    ema = Ema(net, config.ema_decay)
    updater = Updater(net.parameters(), config.optimizer, config.compute, job.ranks)
    dataset = SpeechDataset(config.data, config.loop.seed, config.disturb)
    store = Store(config.data.store)
    judged = {
        split: [
            read_speech(clip, max_frames=250)
            for clip in choose_clips(
                store, ClipFilter((split,), min_frames=25, speech=True), config.validation_clips
            )
        ]
        for split in config.validation_splits
    }

    def step(batch: SpeechSample, index: int) -> dict[str, Tensor]:
        net.train()
        losses = []
        for micro in updater.micro_batches(batch):
            with updater.autocast():
                made = net(micro.mels).float()
                loss = F.smooth_l1_loss(made, micro.relative_openings)
            updater.backward(loss)
            losses.append(loss.detach())
        gradient_norm = updater.apply(index)
        ema.update()
        return {"loss": torch.stack(losses).mean(), "gradient_norm": gradient_norm}

    @torch.no_grad()
    def validate() -> Validation:
        def listen(mels: np.ndarray) -> np.ndarray:
            return ema.network(torch.from_numpy(mels).to(job.ranks.device)).float().cpu().numpy()

        scores: dict[str, float] = {}
        for split, clips in judged.items():
            found = [
                {
                    f"{split}_correlation": correlate(listen(clip.mels), clip.openings),
                    f"{split}_correlation_shifted": correlate(
                        listen(clip.shifted_mels), clip.openings
                    ),
                }
                for clip in job.ranks.share(clips)
            ]
            scores |= average_samples(found, job.ranks)
        return Validation(scores)

    return run(
        config,
        job,
        state={"net": net, "ema": ema, "updater": updater},
        step=step,
        open_data=lambda start: read_batches(dataset, config.loop, start, job.ranks),
        validate=validate,
        save_weights=lambda path: weights.save(path, ema.network),
    )


if __name__ == "__main__":
    run_entry_point(lambda: launch("Warm L-Net's audio encoder up.", AudioTraining, train))
