"""Small settings of every loader, and what a sample says about its frames."""

from pathlib import Path

import numpy as np
import torch

from datasets.augment import AugmentSettings, Disturbance
from datasets.dnet import DNetDataSettings
from datasets.enet import ENetDataSettings
from datasets.lnet import LNetDataSettings
from datasets.store.format import pack_pictures
from datasets.sync_groups import GroupSettings
from datasets.syncnet import SyncDataSettings

STILL = AugmentSettings(flip=0, grey=0, brightness=0, contrast=0)


NOISY = Disturbance(noise=0.4, gain=0.5, masked_bands=16)


LIVELY = AugmentSettings(flip=0.5, grey=0.3, brightness=0.3, contrast=0.3)


def lnet_settings(folder: Path, **changes) -> LNetDataSettings:
    values = {
        "store": folder,
        "splits": {"train": 1.0},
        "size_px": 32,
        "num_frames": 5,
        "min_native_px": 0,
        "reference": "random",
        "num_candidates": 6,
        "min_gap": 0,
        "matched_speech": 0,
        "mel_lead_frames": 0,
        "augment": STILL,
    }
    return LNetDataSettings(**(values | changes))


def enet_settings(folder: Path, augment: AugmentSettings = STILL) -> ENetDataSettings:
    return ENetDataSettings(
        **vars(lnet_settings(folder, augment=augment)), jpeg_quality=(60, 90), enhanced=False
    )


def dnet_settings(folder: Path, augment: AugmentSettings = STILL) -> DNetDataSettings:
    return DNetDataSettings(
        store=folder,
        splits={"train": 1},
        size_px=32,
        num_candidates=1,
        min_gap=0,
        min_native_px=0,
        exchanged=0,
        expression_basis=None,
        augment=augment,
    )


def sync_settings(folder: Path, augment: AugmentSettings = STILL) -> SyncDataSettings:
    return SyncDataSettings(
        store=folder,
        splits={"train": 1},
        size_px=32,
        positive_share=0.5,
        min_shift_frames=5,
        augment=augment,
    )


def group_settings(**changes) -> GroupSettings:
    values = {"num_windows": 6, "num_shown": 2, "span_frames": 9, "shift": 0, "zoom": 0}
    return GroupSettings(**(values | changes))


def frames_in(pictures: torch.Tensor) -> list[int]:
    """Frame numbers that flat pictures ``[T, 3, H, W]`` were painted with."""
    return (pictures[:, 1, -8:, -8:].mean((1, 2)) * 255 / 4).round().int().tolist()


def write_reddened(folder: Path, part: str) -> None:
    from datasets.prepare.extend import extend_store
    from datasets.store.format import encode_jpeg

    def redden(clip) -> dict[str, np.ndarray]:
        pictures = clip.pictures("lips_32", range(len(clip.array("lips_32", "ends")))).copy()
        pictures[..., 0] = 255
        return pack_pictures([encode_jpeg(picture, 95) for picture in pictures])

    assert extend_store(folder, part, redden) == (4, 0)
