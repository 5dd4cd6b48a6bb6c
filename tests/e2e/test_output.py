"""Outputs that cannot be written are refused before any work, and nothing half-written stays."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
import torch

from retalking.errors import MediaError
from retalking.inference import cli, pipeline
from retalking.media.output.video_writer import VideoWriter
from retalking.networks.load import Parts


@pytest.fixture(autouse=True)
def _loaded(still_parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_parts", lambda config: still_parts)


def run(face: Path, audio: Path, outfile: Path, cache: Path, *flags: str) -> int:
    job = ["--face", str(face), "--audio", str(audio), "--outfile", str(outfile)]
    return cli.main([*job, "--profile", "small", "--tmp-dir", str(cache), *flags])


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return [line for line in text.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("gone/out.mp4", [], "does not exist; create it first"),
        ("out.xyz", [], "unknown video suffix"),
        ("out", [], "unknown video suffix"),
        ("out.mp4", ["--codec", "ffv1"], "ffv1 does not go into .mp4 files"),
        ("out.mp4", ["--codec", "h266"], "codec: got 'h266'"),
        ("out.mp4", ["--crf", "60"], "crf: got 60"),
        ("out.mp4", ["--crop", "0", "9999", "0", "-1"], "--crop: got 0 9999 0 -1"),
        ("out.mp4", ["--box", "50", "40", "10", "90"], "--box: got"),
    ],
)
def test_a_bad_output_or_option_is_one_line(
    name: str,
    flags: list[str],
    message: str,
    tmp_path: Path,
    clip: Path,
    speech: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    assert run(clip, speech, folder / name, tmp_path, *flags) == 2
    (line,) = errors(capsys)
    assert message in line
    assert list(folder.iterdir()) == []


def test_an_input_is_never_overwritten(
    tmp_path: Path, clip: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = clip.read_bytes()
    (tmp_path / "link.mkv").symlink_to(clip)
    for outfile in (clip, tmp_path / "link.mkv"):
        assert run(clip, speech, outfile, tmp_path) == 2
        assert "is also an input" in errors(capsys)[0]
    assert clip.read_bytes() == before


def test_an_older_result_stays_when_the_job_fails(
    tmp_path: Path, clip: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MediaError("out.mp4: cannot be written: No space left on device")

    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "out.mp4").write_bytes(b"older")
    monkeypatch.setattr(VideoWriter, "write", full)
    assert run(clip, speech, folder / "out.mp4", tmp_path) == 2
    assert [path.name for path in folder.iterdir()] == ["out.mp4"]
    assert (folder / "out.mp4").read_bytes() == b"older"


def test_ctrl_c_leaves_nothing(
    tmp_path: Path,
    clip: Path,
    speech: Path,
    still_parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupting(type(still_parts.enet)):  # type: ignore[misc]
        def forward(self, *inputs: torch.Tensor, **_: bool) -> object:
            raise KeyboardInterrupt

    interrupted = dataclasses.replace(still_parts, enet=Interrupting())
    monkeypatch.setattr(pipeline, "load_parts", lambda config: interrupted)
    folder = tmp_path / "results"
    folder.mkdir()
    assert run(clip, speech, folder / "out.mp4", tmp_path) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    # Ours alone: the bar's monitor, begun by whichever test is first to show one, may stay.
    assert not {"read-ahead", "write-behind"} & {thread.name for thread in threading.enumerate()}
