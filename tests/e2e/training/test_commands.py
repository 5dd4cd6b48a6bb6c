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
from models.speech.lip_shapes import LipShapeNet
from models.syncnet import SyncExpert
from retalking.media.video import VideoReader
from tests import media
from tests.conftest import REPOSITORY
from tests.e2e.conftest import portrait_frames

PYTHON = ".venv/bin/python"
NUM_FRAMES = 26
TALK_FRAMES = 56  # two seconds and more, which alone are judged
WIDTH, HEIGHT = 560, 448  # large enough for E-Net, whose faces have half of 384 px at least


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    threads, level = torch.get_num_threads(), logging.getLogger().level
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(level)


def read_commands(number: int = 1) -> list[list[str]]:
    """Return the words of each command in the page's first block, or another one."""
    page = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    block = page.split("```bash\n")[number].split("```")[0]
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


@pytest.mark.slow
def test_from_talking_clips_to_what_lips_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines as they stand, but for the number of updates, which would take minutes."""
    rows = ["clip\tmedia\tidentity\tsplit\tlicence"]
    for person, split in (("ann", "train"), ("bob", "val")):
        media.write_video(
            tmp_path / f"{person}.mp4",
            pictures=portrait_frames(TALK_FRAMES, 160, 128),
            audio=media.speech_like(TALK_FRAMES / 25),
            width=160,
            height=128,
        )
        rows.append(f"{person}\t{person}.mp4\t{person}\t{split}\ttest")
    (tmp_path / "clips.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.chdir(tmp_path)
    commands = read_commands(2)
    assert len(commands) == 4
    for _python, *words in commands:
        is_module = words[0] == "-m"
        name, *arguments = words[1:] if is_module else words
        if name == "train_lips.py":
            arguments += ["--set", "loop.num_steps=2", "--set", "loop.batch_size=2"]
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        start, place = (
            (runpy.run_module, name) if is_module else (runpy.run_path, str(REPOSITORY / name))
        )
        with pytest.raises(SystemExit) as ended:
            start(place, run_name="__main__")
        assert ended.value.code in (0, None), (name, arguments)
    weights.load(tmp_path / "runs/lips/weights-best.safetensors", LipShapeNet)
    assert "| bob | " in capsys.readouterr().out
