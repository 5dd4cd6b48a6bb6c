"""A short clip with a real face: the public-domain portrait that scikit-image carries, moving."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from torch import Tensor, nn

from models.dnet import DNetConfig, DNetOutput
from models.enet import ENetOutput
from retalking.parts import Parts, load_parts
from retalking.profiles import load_profile
from tests import media


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

    def forward(self, mel: Tensor, faces: Tensor, reference: Tensor) -> ENetOutput:
        self.mels.append(mel.cpu())
        return ENetOutput(1 - reference, reference)


@pytest.fixture
def still_parts() -> Parts:
    """Real face analysis around networks that cost nothing and tell what they were given."""
    loaded = load_parts(
        load_profile("lite", {"dnet": "seeded", "enet": "seeded", "lnet": None, "batch_size": 1})
    )
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
