"""A short clip with a real face (the public-domain portrait of scikit-image), and trainers."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from models import weights
from models.dnet import DNetConfig, DNetOutput
from models.enet import ENetOutput
from models.lnet import LNet
from retalking.config import load_config
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.networks.load import Parts, load_parts
from tests import media
from tests.e2e.jobs import Job, read_frames
from tests.e2e.training.trainers import CONFIGS, SIZE_PX, start
from tests.stores import write_store
from train_lnet import LNetTraining

Run = Callable[..., int]


class StillDNet(nn.Module):
    """Leaves the face as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.config = DNetConfig()
        self.windows: list[Tensor] = []
        self.pictures: list[Tensor] = []

    def forward(self, image: Tensor, coefficients: Tensor) -> DNetOutput:
        self.windows.append(coefficients.cpu())
        self.pictures.append(image.cpu())
        return DNetOutput(coefficients, coefficients, image, image)


class NegativeENet(nn.Module):
    """Answers with the negative of the reference, so that every edited pixel shows."""

    def __init__(self) -> None:
        super().__init__()
        self.mels: list[Tensor] = []

    def forward(
        self, mel: Tensor, faces: Tensor, reference: Tensor, *_: None, **__: bool
    ) -> ENetOutput:
        self.mels.append(mel.cpu())
        return ENetOutput(1 - reference, reference)


@pytest.fixture
def still_parts(small_networks: dict[str, Path]) -> Parts:
    """Real face analysis around networks that cost nothing and tell what they were given."""
    loaded = load_parts(load_profile("small", {**small_networks, "batch_size": 1}))
    return dataclasses.replace(loaded, dnet=StillDNet(), enet=NegativeENet())  # type: ignore[arg-type]


FRAMES = 7
WIDTH, HEIGHT = 256, 208


def portrait_frames(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Head and shoulders of the portrait, drifting and turning a little."""
    picture = skimage.data.astronaut()
    frames = []
    for index in range(count):
        phase = 2 * np.pi * index / 25
        turn = cv2.getRotationMatrix2D((224, 110), 3 * np.sin(phase), height / 260)
        turn[:, 2] += (width / 2 - 224 + 4 * np.sin(phase), height / 2 - 110 + 3 * np.cos(phase))
        frames.append(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT))
    return frames


def two_people(folder: Path, count: int = 4) -> Path:
    """The portrait twice side by side, the right one smaller."""
    large, small = portrait_frames(count, 256, 208), portrait_frames(count, 180, 150)
    pictures = []
    for left, right in zip(large, small, strict=True):
        picture = np.full((208, 448, 3), 60, np.uint8)
        picture[:, :256], picture[20:170, 262:442] = left, right
        pictures.append(picture)
    path = folder / "two.mkv"
    media.write_video(
        path, pictures=pictures, width=448, height=208, codec="ffv1", pixel_format="bgr0"
    )
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "talk.mkv"
    media.write_video(
        path,
        pictures=portrait_frames(FRAMES),
        width=WIDTH,
        height=HEIGHT,
        codec="ffv1",
        pixel_format="bgr0",
    )
    return path


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    media.write_audio(path, media.speech_like(FRAMES / 25, 22050), 22050)
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Undo what a trainer sets in this process; one thread is faster for tiny networks."""
    threads, level = torch.get_num_threads(), logging.getLogger().level
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session")
def processes() -> Any:
    """Processes, loaders too, that start at once: forked from one that has the imports done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.e2e.training.trainers"])
    return context


@pytest.fixture(scope="session")
def training_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store", num_clips=7, size_px=SIZE_PX)


@pytest.fixture(scope="session")
def lnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(LNetTraining, CONFIGS / "lnet" / "smoke.yaml")
    path = tmp_path_factory.mktemp("weights") / "lnet.safetensors"
    torch.manual_seed(0)
    weights.save(path, LNet(config.model))
    return path


@pytest.fixture
def run(training_store: Path, lnet_file: Path) -> Run:
    """Start a trainer on the synthesised store, unless it is given another."""

    def run_trainer(name: str, folder: Path, *settings: str, data: Path = training_store) -> int:
        return start(name, folder, data, lnet_file, *settings)

    return run_trainer


@pytest.fixture
def job(still_parts: Parts, tmp_path: Path, clip: Path, speech: Path) -> Job:
    def run(parts: Parts = still_parts, face: Path = clip, **options: object) -> np.ndarray:
        settings = {
            "codec": "ffv1",
            "tmp_dir": str(tmp_path / "cache"),
            "reference_source": "current",
            **options,
        }
        Retalker(load_profile("small", settings), parts)(face, speech, tmp_path / "out.mkv")
        return read_frames(tmp_path / "out.mkv")

    return run
