"""From a video to a person and to a photograph that speaks, as docs/finetune_one_person.md says."""

from __future__ import annotations

import json
import logging
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models import weights
from models.speech.lip_shapes import LipShapeNet
from retalking.errors import ConfigError, WeightsError
from retalking.inference.pipeline import Retalker
from retalking.media.images import save_image
from retalking.media.video import VideoReader
from retalking.speech.lip_shapes import LIP_SHAPES_PATH
from retalking.speech.sounds import SoundSpace
from scripts import personalise
from tests import media
from tests.conftest import REPOSITORY
from tests.e2e.conftest import portrait_frames

FRAMES, WIDTH, HEIGHT = 20, 320, 256


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def read_commands() -> list[list[str]]:
    page = (REPOSITORY / "docs" / "finetune_one_person.md").read_text(encoding="utf-8")
    block = page.split("```bash\n")[1].split("```")[0]
    return [shlex.split(line) for line in block.splitlines()]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pictures = portrait_frames(FRAMES, WIDTH, HEIGHT)
    sound = media.speech_like(FRAMES / 25)
    media.write_video(
        tmp_path / "talk.mp4", pictures=pictures, audio=sound, width=WIDTH, height=HEIGHT
    )
    save_image(tmp_path / "photo.png", pictures[0])
    media.write_audio(tmp_path / "speech.wav", media.speech_like(0.3, 22050), 22050)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_photograph_speaks_with_mouths_of_a_video(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _python, script, *arguments in read_commands():
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPOSITORY / script), run_name="__main__")
        assert ended.value.code in (0, None), (script, arguments)
    said = capsys.readouterr().out
    assert "missing: seconds: the face is seen for 1 s" in said
    report = json.loads((workplace / "person" / "person.json").read_text())
    assert report["mouths"] > 0
    assert not report["lips_fitted"]  # less than a second teaches nothing
    with VideoReader(workplace / "dubbed.mp4") as video:
        shown = np.concatenate([chunk.rgb for chunk in video.read_chunks(8)])
    assert shown.shape == (8, HEIGHT, WIDTH, 3)


def test_a_network_of_another_encoder_is_refused(workplace: Path) -> None:
    assert personalise.main(["--face", "talk.mp4", "--out", "person"]) == 0
    weights.save(
        workplace / "person" / "lips.safetensors",
        weights.load(LIP_SHAPES_PATH, LipShapeNet),
        {"encoder": "0" * 64},
    )
    with pytest.raises(WeightsError, match="was fitted to another speech encoder"):
        Retalker.from_profile("lite", speaker="person")
    (workplace / "person" / "lips.safetensors").unlink()
    sounds = workplace / "person" / "sounds.arrays"
    SoundSpace(np.zeros(368, np.float32), np.zeros((368, 2), np.float32), "0" * 64).save(sounds)
    with pytest.raises(WeightsError, match=r"sounds\.arrays: was fitted to another speech"):
        Retalker.from_profile("lite", speaker="person")
    sounds.write_bytes(b"nothing")
    with pytest.raises(
        WeightsError, match=r"sounds\.arrays: cannot be read .*personalise\.py again"
    ):
        Retalker.from_profile("lite", speaker="person")


def test_nothing_of_others_is_overwritten(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mine").mkdir()
    shutil.copy("speech.wav", workplace / "mine" / "thesis.txt")
    assert personalise.main(["--face", "talk.mp4", "--out", "mine"]) == 2
    assert "holds files that are no person" in capsys.readouterr().err
    assert [path.name for path in (workplace / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigError, match=r"holds no person\.arrays"):
        Retalker.from_profile("lite", speaker="mine")
    with pytest.raises(ConfigError, match="for --mouth warp"):
        Retalker.from_profile("small", speaker="mine")
