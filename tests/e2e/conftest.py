"""A short clip with a real face: the public-domain portrait that scikit-image carries, moving."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from tests import media

FRAMES = 9
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
