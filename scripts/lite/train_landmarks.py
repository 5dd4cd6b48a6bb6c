"""Train the lite landmark network on the labels of scripts/lite/label_landmarks.py.

    python -m scripts.lite.train_landmarks --labels /tmp/labels --out runs/landmarks

Resumes from ``OUT/state.pt`` when that exists; the final weights are an exponential moving average
written to ``OUT/landmarks.safetensors``. Every sample derives from (seed, draw number), so that an
interrupted run continues on the data it would have seen. Photographs whose name hashes to an odd
number stay out, for evaluation.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from datasets.landmarks import LandmarkSamples
from models import weights
from models.landmarks import LandmarkNet, LandmarkNetConfig
from retalking.errors import ConfigError
from retalking.ibug68 import JAW, LOWER_INNER_LIP, MOUTH, UPPER_INNER_LIP


def main() -> int:
    """Train and write the weights; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak, then cosine to 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250, help="steps between checkpoints")
    args = parser.parse_args()
    if not args.labels.is_dir():
        raise ConfigError(f"{args.labels} is no folder; run scripts/lite/label_landmarks.py first")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    train(args)
    return 0


def train(args: argparse.Namespace) -> None:
    """Run the optimisation from the last saved state to the end."""
    torch.manual_seed(args.seed)
    network = LandmarkNet(LandmarkNetConfig()).to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, args.steps, pct_start=0.05
    )
    parts: dict[str, Any] = {
        "network": network,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    state_path, start = args.out / "state.pt", 0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        start = state["step"]
    samples = LandmarkSamples(args.labels, args.seed)
    draws = range(start * args.batch_size, args.steps * args.batch_size)
    loader = DataLoader(samples, args.batch_size, sampler=draws, num_workers=1, prefetch_factor=4)
    print(f"{len(samples.crops)} crops, {len(samples.negatives)} negatives, from step {start}")
    began, sums = time.monotonic(), np.zeros(3)
    for step, (crops, points, visible, is_face) in enumerate(loader, start + 1):
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            pictures = crops.permute(0, 3, 1, 2).float().div(255)
            predicted, logits = network(pictures)
        losses = compute_losses(predicted, logits, points, visible, is_face.float())
        loss = losses[0] + 0.5 * losses[1] + 0.02 * losses[2]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        sums += [value.item() for value in losses]
        if step % 50 == 0:
            point, lips, face = sums / 50
            seconds = (time.monotonic() - began) / (step - start)
            print(f"step {step} point {point:.5f} lips {lips:.5f} face {face:.4f} {seconds:.3f} s")
            sums[:] = 0
        if step % args.save_every == 0 or step == args.steps:
            state = {name: part.state_dict() for name, part in parts.items()}
            partial = state_path.with_suffix(".partial")
            torch.save({**state, "step": step}, partial)
            os.replace(partial, state_path)
            notes = {"step": str(step), "seed": str(args.seed)}
            path = args.out / "landmarks.safetensors"
            weights.save(path, average.module, notes, dtype=torch.float16)


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
    return point_loss, lip_loss, F.binary_cross_entropy_with_logits(logits[counts], is_face[counts])


if __name__ == "__main__":
    run_entry_point(main)
