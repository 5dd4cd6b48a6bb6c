"""The clip and the speech get the length that is asked for, and the table says how memory grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.media.sound import audio
from retalking.media.video import VideoReader
from scripts.measure import memory
from tests import media


def test_a_clip_is_repeated_to_the_length(tmp_path: Path) -> None:
    media.write_video(tmp_path / "clip.mp4", 7, codec_options={"crf": "1"})
    memory.repeat_video(tmp_path / "clip.mp4", 0.72, tmp_path / "long.mp4")
    with VideoReader(tmp_path / "long.mp4") as reader:
        chunks = list(reader.read_chunks(100))
        time_base = float(reader.info.time_base)
    frames, times_s = chunks[0].rgb.astype(int), chunks[0].pts * time_base
    assert len(frames) == 9  # at 12.5 a second
    np.testing.assert_allclose(times_s, np.arange(9) / 12.5, atol=1e-6)
    assert np.abs(frames[:2] - frames[7:]).mean() < 4
    assert np.abs(frames[0] - frames[4]).mean() > 8


def test_speech_is_repeated_to_the_length(tmp_path: Path) -> None:
    media.write_audio(tmp_path / "a.wav", media.speech_like(0.5))
    memory.repeat_audio(tmp_path / "a.wav", 1.25, tmp_path / "long.wav")
    short, long = (audio.load(tmp_path / name).samples for name in ("a.wav", "long.wav"))
    assert len(long) == 20_000
    np.testing.assert_allclose(long[8000:16_000], short, atol=1e-4)


def test_the_table_says_how_costs_grow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def measure(face: Path, speech: Path, seconds: float, options: list[str]) -> memory.Cost:
        asked.append((face, speech, options))
        return memory.Cost(1000 + seconds, 50.0, seconds)

    monkeypatch.setattr(memory, "measure_cost", measure)
    command = ["--face", "a.mp4", "--audio", "b.wav", "--seconds", "10", "111", "--profile", "lite"]
    assert memory.main(command) == 0
    assert asked == [(Path("a.mp4"), Path("b.wav"), ["--profile", "lite"])] * 2
    output = capsys.readouterr().out
    assert "| 111 | 1111 | 50.0 | 111.0 |" in output
    assert "differs by 10.0 %, the time of a core by 0.0 %" in output


def test_a_missing_clip_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "none.mp4")
    assert memory.main(["--face", missing, "--audio", missing]) == 2
    assert "none.mp4" in capsys.readouterr().err
