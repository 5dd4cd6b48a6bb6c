"""The way from raw videos to a dubbed video, line by line as docs/training.md prints it."""

from __future__ import annotations

import logging
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models import weights
from models.lnet import LNet
from models.syncnet import SyncExpert
from retalking.media.video import VideoReader
from tests import media
from tests.conftest import REPOSITORY
from tests.e2e.conftest import portrait_frames

PYTHON = ".venv/bin/python"
NUM_FRAMES = 26
WIDTH, HEIGHT = 560, 448  # large enough for E-Net, whose faces have half of 384 px at least


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    threads, level = torch.get_num_threads(), logging.getLogger().level
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(level)


def read_commands() -> list[list[str]]:
    """Return the words of each command in the page's first block."""
    page = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    block = page.split("```bash\n")[1].split("```")[0]
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


def write_talk(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(
        path,
        pictures=portrait_frames(NUM_FRAMES, WIDTH, HEIGHT),
        audio=media.speech_like(NUM_FRAMES / 25),
        width=WIDTH,
        height=HEIGHT,
    )


def test_from_raw_videos_to_a_dubbed_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in ("ann", "bob"):
        write_talk(tmp_path / "my_videos" / person / "talk.mp4")
    shutil.copy(tmp_path / "my_videos" / "ann" / "talk.mp4", tmp_path / "talk.mp4")
    media.write_audio(tmp_path / "speech.wav", media.speech_like(0.3, 22050), 22050)
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.chdir(tmp_path)

    commands = read_commands()
    assert [Path(command[1]).stem for command in commands] == [
        "clips",
        "extend_store",
        "train_syncnet",
        "train_dnet",
        "train_lnet",
        "train_enet",
        "inference",
    ]
    for python, script, *arguments in commands:
        assert python == PYTHON
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPOSITORY / script), run_name="__main__")
        assert ended.value.code in (0, None), (script, arguments)

    weights.load(tmp_path / "runs/lnet/weights-best.safetensors", LNet)
    weights.load(tmp_path / "runs/syncnet/weights-best.safetensors", SyncExpert)
    with VideoReader(tmp_path / "dubbed.mp4") as video:
        pictures = np.concatenate([chunk.rgb for chunk in video.read_chunks(8)])
    assert pictures.shape == (8, HEIGHT, WIDTH, 3)
