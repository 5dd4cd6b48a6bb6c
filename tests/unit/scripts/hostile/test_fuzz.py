"""The program bears damaged files and odd options; ``scripts/measure/fuzz.py`` tries many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from retalking.inference.pipeline import Retalker
from scripts.measure import fuzz
from scripts.measure.hostile.cases import find_fault
from scripts.measure.hostile.watched import Outcome


def test_a_few_cases_of_every_kind_are_borne(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--cases", "22", "--seed", "1", "--jobs", "1"]) == 0
    output = capsys.readouterr().out
    assert "22 of 22 cases" in output
    for kind in ("talk.mp4", "talk.webm", "face.png", "speech.wav", "speech.flac", "config"):
        assert f"| {kind} |" in output
    for kind in ("dnet.safetensors", "dnet.pt", "kept analysis", "kept frames", "command line"):
        assert f"| {kind} |" in output


@pytest.mark.parametrize(
    ("code", "errors", "left", "fault"),
    [
        (0, "", ["out.mp4"], ""),
        (0, "WARNING: odd\ndubbing: 5%|#  | 1/2\n", ["out.mp4"], ""),
        (2, "WARNING: odd\nerror: a.mp4: cut off\n", [], ""),
        (2, "error: a.mp4: cut off\n", [".retalking-x.part.mp4"], "left over"),
        (2, "", [], "no line"),
        (2, "a.mp4: cut off\n", [], "no line"),
        (2, "error: a.mp4: cut off\nbecause\n", [], "more than a line"),
        (2, "error: a\x1b[31m.mp4: cut off\n", [], "not a line for a terminal"),
        (2, f"error: {'a' * 2000}\n", [], "not a line for a terminal"),
        (1, "error: a.mp4\n", [], "exit code 1"),
        (0, "Traceback (most recent call last):\n", [], "Traceback"),
        (0, "UserWarning: odd\n", ["out.mp4"], "success, but"),
    ],
)
def test_faults_are_told_from_good_ends(
    tmp_path: Path, code: int, errors: str, left: list[str], fault: str
) -> None:
    for name in left:
        (tmp_path / name).touch()
    found = find_fault(code, errors, tmp_path)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_a_fault_ends_with_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [
        Outcome(0, "config", "", 0.1, 10**8),
        Outcome(7, "face.png", "Traceback", 2.0, 2**30),
    ]
    monkeypatch.setattr(fuzz, "run_cases", lambda *_: iter(outcomes))
    assert fuzz.main(["--cases", "2"]) == 1
    output = capsys.readouterr().out
    assert "case 7 (face.png): Traceback" in output
    assert "| face.png | 1 | 1 | 2.0 | 1024 |" in output
    assert "2 of 2 cases" in output


def test_a_job_that_needs_a_traceback_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hunt that finds nothing where something is would be of no use."""
    from scripts.measure.hostile.cases import run_case
    from scripts.measure.hostile.ground import Ground
    from scripts.measure.hostile.seeds import write_seeds

    seeds = tmp_path / "seeds"
    seeds.mkdir()
    write_seeds(seeds)
    ground = Ground.prepare(seeds, tmp_path / "work")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("not a mistake of the user")

    monkeypatch.setattr(Retalker, "__call__", fail)
    monkeypatch.setattr(Retalker, "dub", fail)
    found = {}
    for number in range(12):
        kind, fault = run_case(ground, 1, number)
        found[kind] = fault
    broken = {kind for kind, fault in found.items() if "ZeroDivisionError" in fault}
    assert broken & {"talk.mp4", "talk.webm", "face.png", "speech.wav", "speech.flac"}
    assert not found.get("config")
