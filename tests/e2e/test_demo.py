"""The demo on the bundled sample, and its one-line mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.inference.pipeline import Retalker
from retalking.media.images import load_image
from retalking.media.video import VideoReader
from scripts import contact_sheet, demo
from scripts.demo import SAMPLE

CELL_PX = 180


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_the_demo_dubs_the_sample_and_draws_its_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "demo"
    dubbed, sheet = out / "dubbed.mp4", out / "contact_sheet.png"
    told = []
    for _ in range(2):
        assert demo.main(["--out", str(out), "--max-seconds", "0.4"]) == 0
        told.append(capsys.readouterr().out)
        assert {dubbed, sheet} == set(out.iterdir())
    assert told[0] == told[1]
    assert f"{dubbed} (10 frames, 10 edited)" in told[0]
    assert str(sheet) in told[0]
    with VideoReader(dubbed) as made, VideoReader(SAMPLE / "talk.mp4") as given:
        after = next(made.read_chunks(10)).rgb
        before = next(given.read_chunks(10)).rgb
    assert after.shape == before.shape
    change = np.abs(after.astype(int) - before).mean(axis=(0, 3))
    # Encoding alone changes a pixel by up to 7 levels, another mouth some by more than 60.
    assert change[:250].max() < 20  # nose and above
    assert change[290:350, 150:300].max() > 30  # about the mouth
    assert load_image(sheet).shape[1] > contact_sheet.NUM_COLUMNS * CELL_PX


def test_a_sheet_shows_the_source_above_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face, dubbed, sheet = SAMPLE / "portrait.jpg", tmp_path / "dubbed.mkv", tmp_path / "sheet.png"
    Retalker.from_profile("lite", max_seconds=0.2)(face, SAMPLE / "speech.wav", dubbed)
    given = ["--source", str(face), "--dubbed", str(dubbed), "--out", str(sheet)]
    assert contact_sheet.main([*given, "--columns", "2"]) == 0
    assert capsys.readouterr().out == f"{sheet}\n"
    picture = load_image(sheet).astype(int)
    right = picture[:, -CELL_PX - 6 : -6]  # the last column, up to the gap
    above, below = right[6 : 6 + CELL_PX], right[12 + CELL_PX : 12 + 2 * CELL_PX]
    change = np.abs(above - below).mean(axis=2)
    assert change[:100].max() < 15  # the same upper face
    assert change[110:135, 60:120].max() > 25  # another mouth


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--face", "nothing.mp4"], "nothing.mp4: no such file"),
        (["--audio", "nothing.wav"], "nothing.wav: no such file"),
        (["--audio", str(SAMPLE / "talk.mp4")], "talk.mp4: has no audio"),
        (["--max-seconds", "0"], "max_seconds"),
        (["--out", str(SAMPLE / "talk.mp4")], "talk.mp4: cannot be made a folder"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "demo")]
    assert demo.main([*arguments, *out]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert complaint in told
    assert told.count("\n") == 1
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("dubbed", "complaint"),
    [(str(SAMPLE / "talk.mp4"), "has no audio"), ("nothing.mp4", "no such file")],
)
def test_a_mistake_about_a_sheet_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dubbed: str, complaint: str
) -> None:
    given = ["--source", str(SAMPLE / "talk.mp4"), "--out", str(tmp_path / "sheet.png")]
    assert contact_sheet.main([*given, "--dubbed", dubbed]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert complaint in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_needs_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        contact_sheet.main(["--source", "a", "--dubbed", "b", "--out", "c.png", "--columns", "0"])
    assert stopped.value.code == 2
    assert "got 0, expected at least 1" in capsys.readouterr().err
