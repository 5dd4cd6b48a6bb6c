"""What the doctor finds, and that it finds what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from retalking.doctor import checks, speed
from retalking.doctor.checks import Finding, look_at_codecs, look_at_room, look_at_weights
from retalking.files import sha256_of
from retalking.inference.profiles import load_profile
from retalking.locations import LITE_WEIGHTS
from retalking.speech.lip_shapes import LipListener
from retalking.weights.catalogue import WeightFile, read_catalogue
from scripts.doctor import main


def states(findings: Iterable[Finding]) -> list[str]:
    return [finding.state for finding in findings]


def test_a_machine_that_works_is_said_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--no-speed", "--json", str(tmp_path / "doctor.json")]) == 0
    out = capsys.readouterr().out
    assert "\n!" not in out
    for told in ("Python 3.", "torch 2.", "processors", "--device auto is", "libx264", "GB free"):
        assert told in out
    for file in LITE_WEIGHTS.glob("*.safetensors"):
        assert f"{file}: {sha256_of(file)[:12]}" in out
    topics = {finding["topic"] for finding in json.loads((tmp_path / "doctor.json").read_text())}
    assert topics >= {"versions", "devices", "weights of lite", "codecs", "room"}


def test_a_weight_file_that_does_not_fit_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "lips.safetensors"
    shutil.copy(LITE_WEIGHTS / "expert.safetensors", damaged)
    load = LipListener.from_files
    monkeypatch.setattr(LipListener, "from_files", lambda *_, **__: load(shapes=damaged))
    found = list(look_at_weights("lite"))
    assert [finding.state for finding in found if "lips.safetensors" in finding.text][-1] == "bad"
    assert main(["--no-speed"]) == 1
    assert "\n!" in capsys.readouterr().out


def test_official_weights_that_are_not_here_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(profile: str, options: dict[str, object]) -> object:
        return load_profile(profile, {**options, "checkpoints": str(tmp_path)})

    monkeypatch.setattr(checks, "load_profile", elsewhere)
    monkeypatch.setattr(WeightFile, "path", lambda *_: tmp_path / "absent")
    known = {file.file for file in read_catalogue().weights.values() if file.sha256}
    damaged = next(
        path for path in load_profile("official", {}).weight_files() if path.name in known
    )
    (tmp_path / damaged).write_bytes(b"half a file")
    found = list(look_at_weights("official"))
    assert states(found) == ["bad", "note"]
    assert damaged.name in found[0].text
    assert "expected" in found[0].text
    assert "download_checkpoints" in found[1].text


def test_a_full_disk_and_a_lacking_codec_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_profile("lite", {"tmp_dir": str(tmp_path / "cache")})
    assert states(look_at_room(config)) == ["good"]
    monkeypatch.setattr(checks, "_LEAST_FREE_GB", 1e9)
    assert states(look_at_room(config)) == ["bad"]
    monkeypatch.setattr(checks, "_can_encode", lambda name: name != "libx264")
    assert states(look_at_codecs()) == ["good", "bad"]
    monkeypatch.setattr(checks, "_can_encode", lambda name: name != "libx265")
    assert states(look_at_codecs()) == ["good", "note"]


def test_the_speed_is_that_of_a_dub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SECONDS", 0.2)
    found = speed.measure_speed()
    per_frame_ms, minute_s = map(
        int, re.findall(r"(\d+) ms a frame.* (\d+) s for a minute", found.text)[0]
    )
    assert minute_s == pytest.approx(per_frame_ms * 25 * 60 / 1000, abs=1.5)  # both are rounded
    assert per_frame_ms > 0


def test_a_name_that_no_library_knows_is_no_codec() -> None:
    assert not checks._can_encode("libx999")
