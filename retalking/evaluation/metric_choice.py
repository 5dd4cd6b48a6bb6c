"""Metrics by name, loaded as far as their weights are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from retalking.errors import ConfigError, WeightsError
from retalking.files import sha256_of
from retalking.locations import CHECKPOINTS
from retalking.metrics.cpbd import Cpbd
from retalking.metrics.face_motion import LandmarkDistance, MouthCorrelation
from retalking.metrics.fid import Fid, load_inception
from retalking.metrics.identity import IdentitySimilarity, load_arcface
from retalking.metrics.image_quality import psnr_metric, ssim_metric
from retalking.metrics.lip_sync.judges import EXPERT_FILE, load_expert, load_syncnet
from retalking.metrics.lip_sync.sync import LipSync
from retalking.metrics.lpips_distance import load_lpips, lpips_metric
from retalking.metrics.metric import Metric
from retalking.metrics.steadiness import Flicker, Seam
from retalking.weights import catalogue

Files = Mapping[str, Path]
"""Weight files that were given, by their name in the catalogue."""


@dataclass(frozen=True)
class _Maker:
    make: Callable[[Files, torch.device], Metric]
    locate: Callable[[Files], Mapping[str, Path]] = lambda files: {}


def _catalogued(name: str) -> Callable[[Files], Mapping[str, Path]]:
    return lambda files: {name: catalogue.find(name, given=files)}


def _expert_file(files: Files) -> Mapping[str, Path]:
    return {"lipsync_expert": files.get("lipsync_expert", CHECKPOINTS / EXPERT_FILE)}


_MAKERS = {
    "fid": _Maker(
        lambda files, device: Fid(load_inception(files, device), device), _catalogued("inception")
    ),
    "cpbd": _Maker(lambda files, device: Cpbd()),
    "lse": _Maker(
        lambda files, device: LipSync(load_syncnet(files, device)), _catalogued("syncnet_v2")
    ),
    "expert": _Maker(
        lambda files, device: LipSync(load_expert(files, device), "expert_"), _expert_file
    ),
    "csim": _Maker(
        lambda files, device: IdentitySimilarity(load_arcface(files, device).embed, device),
        _catalogued("ArcFace"),
    ),
    "flicker": _Maker(lambda files, device: Flicker()),
    "seam": _Maker(lambda files, device: Seam()),
    "psnr": _Maker(lambda files, device: psnr_metric(device)),
    "ssim": _Maker(lambda files, device: ssim_metric(device)),
    "lpips": _Maker(
        lambda files, device: lpips_metric(load_lpips(files, device), device),
        _catalogued("alexnet"),
    ),
    "lmd": _Maker(lambda files, device: LandmarkDistance()),
    "mouth_correlation": _Maker(lambda files, device: MouthCorrelation()),
}
METRIC_NAMES = tuple(_MAKERS)


@dataclass(frozen=True)
class MetricChoice:
    """What is measured.

    Attributes:
        metrics: loaded, by name.
        marks: hashes of their weights, by metric and name in the catalogue.
        left_out: metrics whose weights are missing, and what to do.
    """

    metrics: Mapping[str, Metric]
    marks: Mapping[str, Mapping[str, str]]
    left_out: Mapping[str, str]


def choose_metrics(names: Sequence[str], files: Files, device: torch.device) -> MetricChoice:
    """Load metrics.

    Args:
        names: of the metrics, without repeats.
        files: weight files in other places than ``checkpoints``.
        device: where networks run.

    Raises:
        ConfigError: an unknown metric.
    """
    metrics: dict[str, Metric] = {}
    marks: dict[str, dict[str, str]] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if name not in _MAKERS:
            raise ConfigError(f"--metrics: got {name!r}, expected of {', '.join(METRIC_NAMES)}")
        maker = _MAKERS[name]
        try:
            metrics[name] = maker.make(files, device)
            marks[name] = {key: sha256_of(path) for key, path in maker.locate(files).items()}
        except WeightsError as error:
            left_out[name] = str(error)
    return MetricChoice(metrics, marks, left_out)
