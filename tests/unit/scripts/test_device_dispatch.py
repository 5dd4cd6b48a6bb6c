"""What the host does for a GPU is measured on one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.measure import device_dispatch
from tests import media
from tests.e2e.conftest import portrait_frames

_FRAMES = 3


def test_the_official_chain_runs_without_computing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, speech = tmp_path / "face.mp4", tmp_path / "speech.wav"
    media.write_video(clip, pictures=portrait_frames(_FRAMES), width=256, height=208)
    media.write_audio(speech, media.speech_like(_FRAMES / 25))
    files = ["--face", str(clip), "--audio", str(speech), "--tmp-dir", str(tmp_path)]
    assert device_dispatch.main([*files, "--length-policy", "video", "--batch-size", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    figures = [float(line.split("|")[2]) for line in lines[2:6]]
    python_ms, _, dispatch_ms, sum_ms = figures
    assert min(figures) > 0
    assert sum_ms == pytest.approx(python_ms + dispatch_ms, abs=0.02)  # of rounded figures
    assert f"from it {2 / _FRAMES:.1f} copies" in lines[6]
    counted, with_warps = (float(line.split(" copies")[0].split()[-1]) for line in lines[6:8])
    assert with_warps > counted
