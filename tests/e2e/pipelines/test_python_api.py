"""The page about Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from retalking.inference.profiles import load_profile
from retalking.locations import REPOSITORY
from retalking.media.video import VideoReader
from tests import media
from tests.e2e.jobs import read_frames
from tests.speech import vowels

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def cut_sample(path: Path, frames: int) -> None:
    """The first frames of the sample, which shows a face that speaks."""
    with VideoReader(REPOSITORY / "assets" / "sample" / "talk.mp4") as reader:
        rgb = next(iter(reader.read_chunks(frames))).rgb
    media.write_video(
        path, pictures=list(rgb), width=rgb.shape[2], height=rgb.shape[1], pixel_format="yuv420p"
    )


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cut_sample(tmp_path / "talk.mp4", 6)
    media.write_audio(tmp_path / "speech.wav", vowels(0.24).samples, 16000)
    blocks = BLOCK.findall((REPOSITORY / "docs" / "python_api.md").read_text("utf-8"))
    assert len(blocks) >= 7
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"python_api.md, block {number}", "exec"), names)
    assert load_profile("lite", {}).chunk_size > 6  # the next line counts frames of one chunk
    out = capsys.readouterr().out
    assert "dubbing: 100%" in out
    assert "cancelled: no output was written" in out
    assert not (tmp_path / "never.mkv").exists()
    usual = read_frames(tmp_path / "out.mkv")
    assert len(usual) == 6
    # H.264 is decoded to the same pixels for an array as for a file, but for the colours' rounding.
    of_array = read_frames(tmp_path / "of_array.mkv").astype(int)
    assert np.abs(of_array - usual).mean() < 2
    for name in ("first", "second", "of_bytes", "dialogue"):
        assert np.array_equal(read_frames(tmp_path / f"{name}.mkv"), usual)
    assert len(read_frames(tmp_path / "of_container.mkv")) == 13  # half a second at 25 Hz
