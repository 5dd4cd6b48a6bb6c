"""Measure what the data path of a training delivers, to see what the bottleneck is.

    python -m scripts.measure.profile_training --store STORE --module lnet --workers 2

Prints samples per second of the loader alone. A training's own log has the other half: its
``speed`` metrics tell how long a step waits for data and how long it computes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

import cv2
import torch

from datasets.augment import AugmentSettings
from datasets.dnet import DNetDataset, DNetDataSettings
from datasets.enet import ENetDataset, ENetDataSettings
from datasets.lnet import LNetDataset, LNetDataSettings
from datasets.speech import SpeechDataset, SpeechDataSettings
from datasets.syncnet import SyncDataset, SyncDataSettings
from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.training.batches import Dataset, read_batches
from retalking.training.distributed import Ranks
from retalking.training.settings import LoaderSettings, ToleranceSettings

MODULES = ("lnet", "enet", "dnet", "syncnet", "speech")


def open_dataset(module: str, store: Path, split: str) -> Dataset[Any]:
    """Open a data set with the sizes of the paper.

    Raises:
        ConfigError: no store, or no clip in it that fits.
    """
    still = AugmentSettings(flip=0.0, grey=0.05, brightness=0.2, contrast=0.2)
    common: dict[str, Any] = {
        "store": store,
        "splits": {split: 1.0},
        "augment": still.model_copy(update={"flip": 0.5}),
    }
    lips = {
        **common,
        "num_frames": 5,
        "min_native_px": 0,
        "reference": "nearest_pose",
        "num_candidates": 8,
        "min_gap": 5,
        "matched_speech": 0,
        "mel_lead_frames": 0,
    }
    if module == "lnet":
        return LNetDataset(LNetDataSettings(**lips, size_px=96), seed=0)
    if module == "enet":
        sharp = {**lips, "size_px": 384, "jpeg_quality": (60, 95), "enhanced": False}
        return ENetDataset(ENetDataSettings(**sharp), seed=0)
    if module == "dnet":
        pairs = {**common, "augment": still, "num_candidates": 1, "min_gap": 0, "exchanged": 0.0}
        settings = DNetDataSettings(**pairs, size_px=256, min_native_px=0, expression_basis=None)
        return DNetDataset(settings, seed=0)
    if module == "syncnet":
        pairs = {**common, "size_px": 96, "positive_share": 0.5, "min_shift_frames": 5}
        return SyncDataset(SyncDataSettings(**pairs), seed=0)
    return SpeechDataset(SpeechDataSettings(store=store, splits={split: 1.0}), seed=0)


def measure_cpu(dataset: Dataset[Any], count: int = 200) -> float:
    """Return milliseconds of processor time per sample, whatever else runs on the machine."""
    for draw in range(20):
        dataset[draw]
    begin = time.process_time()
    for draw in range(count):
        dataset[draw]
    return (time.process_time() - begin) / count * 1e3


def measure_rate(dataset: Dataset[Any], batch_size: int, num_workers: int, seconds: float) -> float:
    """Return samples per second of the loader, after a warm-up of a few batches."""
    tolerance = ToleranceSettings(
        bad_samples=0, bad_batches=0, rollbacks=0, loader_restarts=0, loader_timeout_s=600
    )
    settings = LoaderSettings(batch_size=batch_size, num_workers=num_workers, tolerance=tolerance)
    batches = read_batches(dataset, settings, 0, Ranks())
    for _ in itertools.islice(batches, 2 + 4 * num_workers):
        pass
    begin, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < seconds:
        next(batches)
        count += batch_size
    return count / passed


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="prepared store")
    parser.add_argument("--module", choices=MODULES, default="lnet", help="whose samples")
    parser.add_argument("--split", default="train", help="split of the store")
    parser.add_argument("--batch-size", type=int, default=16, help="samples per batch")
    parser.add_argument("--workers", type=int, default=2, help="loader processes")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the measurement")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.batch_size < 1 or options.workers < 0 or options.seconds <= 0:
        raise ConfigError("--batch-size, --workers, --seconds: expected positive numbers")
    dataset = open_dataset(options.module, options.store, options.split)
    cpu_ms = measure_cpu(dataset)
    rate = measure_rate(dataset, options.batch_size, options.workers, options.seconds)
    print(
        f"{options.module}: {rate:.0f} samples/s from {options.workers} loader processes; "
        f"{cpu_ms:.2f} ms of processor time per sample"
    )
    return 0


if __name__ == "__main__":
    run_entry_point(main)
