"""Frozen networks that judge what is trained. Each can be switched off in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from losses.mouth import LipReader
from losses.perceptual import FeaturePyramid, LayerFeatures, load_vgg19
from models import weights
from models.landmarks import LandmarkNet
from models.syncnet import SyncExpert
from retalking.errors import ConfigError, WeightsError
from third_party.arcface import ArcFace

PerceptualKind = Literal["vgg19", "face_features", "none"]
"""Whose features measure the perceptual distance.

* ``vgg19``: ImageNet's, as the paper does.
* ``face_features``: those of our own landmark network; nothing to download.
* ``none``: no such term.
"""


class _FaceFeatures(nn.Module):
    """The landmark network down to stride 8; any size, unlike the whole of it."""

    def __init__(self, network: LandmarkNet) -> None:
        super().__init__()
        self.stem, self.stage4, self.stage8 = network.stem, network.stage4, network.stage8

    def forward(self, image: Tensor) -> Tensor:
        return self.stage8(self.stage4(self.stem(image * 2 - 1)))


def load_features(
    kind: PerceptualKind, path: Path | None, num_scales: int, device: torch.device
) -> FeaturePyramid | None:
    """Load the perceptual teacher, or return ``None`` for ``none``.

    Args:
        kind: which one.
        path: its weights: torchvision's VGG-19 or our landmark network.
        num_scales: of the pyramid.
        device: where it computes.

    Raises:
        WeightsError: the file is not given, absent, or does not fit.
    """
    if kind == "none":
        return None
    if path is None:
        raise WeightsError(f"perceptual_weights: got null, expected the file of {kind}")
    if kind == "vgg19":
        return FeaturePyramid(load_vgg19(path), num_scales).to(device)
    try:
        network = weights.load(path, LandmarkNet)
    except WeightsError as error:
        raise WeightsError(f"no face features: {error}; or set 'perceptual: none'") from None
    features = LayerFeatures(_FaceFeatures(network), ("stem", "stage4", "stage8"), min_size_px=8)
    return FeaturePyramid(features, num_scales).to(device)


def load_lip_reader(path: Path | None, device: torch.device) -> LipReader:
    """Load the network that sees how far lips are open, frozen.

    Raises:
        WeightsError: the file is not given, absent or does not fit.
    """
    if path is None:
        raise WeightsError("lip_reader: got null, expected a file, or set loss.opening to 0")
    return LipReader(weights.load(path, LandmarkNet)).to(device)


def load_sync_expert(path: Path | None, device: torch.device, num_frames: int) -> SyncExpert | None:
    """Load the lip-sync expert, ours or Wav2Lip's, frozen; ``None`` stays ``None``.

    Args:
        path: of its weights.
        device: where it runs.
        num_frames: of the windows that it is to judge.

    Raises:
        WeightsError: the file is absent or does not fit.
        ConfigError: it judges windows of another length.
    """
    if path is None:
        return None
    try:
        expert = weights.load_any(path, SyncExpert, "lipsync_expert")
    except WeightsError as error:
        raise WeightsError(
            f"no lip-sync expert: {error}; train one with train_syncnet.py or set "
            "'sync_expert: null'"
        ) from None
    if num_frames != expert.config.num_frames:
        raise ConfigError(
            f"data.num_frames: got {num_frames}, expected {expert.config.num_frames} for the "
            "lip-sync expert"
        )
    return expert.requires_grad_(False).to(device)


def load_arcface(path: Path | None, device: torch.device) -> ArcFace | None:
    """Load the face-recognition teacher, frozen; ``None`` stays ``None``.

    Raises:
        WeightsError: the file is absent or does not fit.
    """
    if path is None:
        return None
    try:
        teacher = weights.load_any(path, ArcFace, "ArcFace")
    except WeightsError as error:
        raise WeightsError(f"no ArcFace teacher: {error}; or set 'arcface: null'") from None
    return teacher.requires_grad_(False).to(device)
