"""Videos, and stores prepared from them once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from datasets.prepare.extend import (
    estimate_lite_coefficients,
    extend_store,
)
from datasets.prepare.store import prepare_store
from retalking.coefficients.basis import ExpressionBasis
from tests.media import moving_picture, speech_like, write_video
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of, walking_face


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the preparing processes have; the number of threads moves the last bits of landmarks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    face = walking_face(12)
    write_video(folder / "talk.mp4", pictures=face, audio=speech_like(0.6), width=200)
    cut_in_two = face[:9] + [moving_picture(n, 200, 200) for n in range(14)] + face[:9]
    write_video(folder / "cut.mp4", pictures=cut_in_two, audio=speech_like(1.4))
    write_video(folder / "mute.mp4", pictures=face[:9])
    write_video(folder / "nobody.mp4", 10, audio=speech_like(0.5))
    write_video(folder / "short.mp4", pictures=face[:5], audio=speech_like(0.3))
    (folder / "broken.mp4").write_bytes(b"not a video")
    return folder


@pytest.fixture(scope="package")
def store(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "store"
    names = ("talk", "cut", "mute", "nobody", "short", "broken")
    prepare_store(folder, [row_of(media, name) for name in names], SETTINGS, 0)
    return folder


@pytest.fixture(scope="package")
def extended(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    basis = ExpressionBasis.from_file()
    copy = shutil.copytree(store, tmp_path_factory.mktemp("stores") / "extended")
    extend_store(copy, "coefficients", lambda clip: estimate_lite_coefficients(clip, basis))
    return copy
