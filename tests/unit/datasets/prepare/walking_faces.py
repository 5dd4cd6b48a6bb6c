"""Videos of a face that walks, and how they are prepared here."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.prepare.manifest import ClipRow
from tests.stores import preparation

SETTINGS = preparation(
    lips_px=(32, 96), stabiliser_px=(256,), max_enlargement=4, min_frames=8, keep_audio=True
)


def walking_face(num_frames: int, size_px: int = 200) -> list[np.ndarray]:
    """The public-domain portrait of scikit-image, moving slowly."""
    data = pytest.importorskip("skimage.data")
    portrait = data.astronaut()[:300, 80:380]
    pictures = []
    for n in range(num_frames):
        matrix = np.array([[size_px / 300, 0, n / 4], [0, size_px / 300, n / 8]])
        pictures.append(cv2.warpAffine(portrait, matrix, (size_px, size_px), borderMode=1))
    return pictures


def row_of(media: Path, name: str, **changes) -> ClipRow:
    row = ClipRow(name, media / f"{name}.mp4", f"person of {name}", "train", "test")
    return dataclasses.replace(row, **changes)
