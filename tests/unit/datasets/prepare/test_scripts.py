"""The scripts that prepare and measure, as a user runs them."""

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from datasets.prepare.manifest import write_manifest
from datasets.prepare.settings import PreparationSettings
from datasets.store.reader import Store
from retalking.errors import ConfigError
from scripts.measure import profile_training
from scripts.prepare import clips, enhance_lrs2, lrs2, voxceleb
from scripts.prepare import extend_store as extend_script
from tests.stores import preparation
from tests.unit.datasets.prepare.walking_faces import row_of
from tests.unit.training.runs import assert_same


def _run(main, *arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_script_prepares_a_folder(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("talk", "short"):
        (videos / f"{name}.mp4").write_bytes((media / f"{name}.mp4").read_bytes())
    out = tmp_path / "store"
    code = _run(
        clips.main, "--videos", videos, "--out", out, "--workers", 0, "--min-frames", 12,
        "--lips", 96, "--stabiliser", "--val-every", 0,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "1 clips from 2 rows, 12 frames" in printed
    assert "left out 1: the longest run of the face is N frames" in printed
    assert Store(out).info.parts == ("lips_96", "coefficients")


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (clips.main, ["--manifest", "gone.tsv", "--out", "s"], "no such manifest"),
        (clips.main, ["--videos", "gone", "--out", "s"], "no such folder"),
        (extend_script.main, ["gone", "coefficients"], "not a prepared store"),
        (
            extend_script.main,
            ["gone", "coefficients", "--engine", "ray", "--shard", "1/2"],
            "--shard: got 1/2, expected none beside --engine ray",
        ),
        (enhance_lrs2.main, ["gone", "--engine", "ray", "--shards", "0"], "expected positive"),
        (enhance_lrs2.main, ["gone"], "not a prepared store"),
        (profile_training.main, ["--store", "gone"], "not a prepared store"),
    ],
)
def test_scripts_end_with_one_line(
    main, arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("module", profile_training.MODULES)
def test_every_data_set_can_be_measured_or_says_what_it_lacks(extended: Path, module: str) -> None:
    with suppress(ConfigError):
        profile_training.open_dataset(module, extended, "train")


def test_the_data_path_is_measured(extended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = _run(
        profile_training.main, "--store", extended, "--module", "speech", "--workers", 0,
        "--seconds", 0.1,
    )  # fmt: skip
    assert code == 0
    assert "samples/s from 0 loader processes" in capsys.readouterr().out


def test_nothing_prepared_is_a_failure(media: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.tsv"
    write_manifest(manifest, [row_of(media, "broken")])
    out = tmp_path / "store"
    assert _run(clips.main, "--manifest", manifest, "--out", out, "--workers", 0) == 2


@pytest.mark.parametrize(
    ("main", "source", "given", "expected"),
    [
        (clips.main, "--videos", ["--min-frames", "9"], {"min_frames": 9}),
        (
            lrs2.main,
            "",
            ["--silent"],
            {
                "lips_px": [96],
                "stabiliser_px": [],
                "needs_speech": False,
                "offset_from": "speech",
                "min_speech_fit": 0.3,
            },
        ),
        (
            voxceleb.main,
            "",
            ["--lips", "64"],
            {"lips_px": [64], "needs_speech": False, "stabiliser_extent": "frame"},
        ),
    ],
)
def test_scripts_take_their_settings_from_yaml_and_options_change_them(
    monkeypatch: pytest.MonkeyPatch, main: Any, source: str, given: list[str], expected: Any
) -> None:
    seen: list[PreparationSettings] = []
    monkeypatch.setattr(
        clips, "prepare_store", lambda _out, _rows, found, *_: seen.append(found) or []
    )
    for module, name in ((clips, "list_folder"), (lrs2, "list_lrs2"), (voxceleb, "list_voxceleb")):
        monkeypatch.setattr(module, name, lambda *_: [])
    main([*filter(None, [source]), "corpus", "--out", "store", *given])
    usual = preparation().model_dump(mode="json")
    usual |= {"lips_px": [], "stabiliser_px": [256]} if main is voxceleb.main else {}
    assert seen[0].model_dump(mode="json") == usual | expected


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert _run(extend_script.main, tmp_path, "coefficients", "--engine", "ray") == 2
    assert "pip install -r requirements-ray.txt" in capsys.readouterr().err


@pytest.mark.slow
def test_shares_of_a_ray_cluster_make_the_same_store(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="requirements-ray.txt is not installed")
    rows = [dataclasses.replace(row_of(media, "talk"), clip=f"talk{number}") for number in range(3)]
    write_manifest(tmp_path / "m.tsv", [*rows, row_of(media, "broken")])
    for engine in ("local", "ray"):
        store, chosen = tmp_path / engine, ("--engine", engine, "--shards", 3)
        code = _run(
            clips.main, "--manifest", tmp_path / "m.tsv", "--out", store, "--workers", 1,
            "--lips", 96, "--stabiliser", "--min-frames", 12, *chosen,
        )  # fmt: skip
        assert code == 0
        assert "3 clips from 4 rows" in capsys.readouterr().out
        assert _run(extend_script.main, store, "coefficients", *chosen) == 0
        assert "coefficients added to 3 clips, 0 passed over" in capsys.readouterr().out
    one, other = (sorted((tmp_path / engine).rglob("*.*")) for engine in ("local", "ray"))
    assert [file.name for file in one] == [file.name for file in other]
    for a, b in zip(one, other, strict=True):
        if a.suffix == ".safetensors":  # whose notes are in no order
            assert_same(load_file(a), load_file(b), a.name)
        elif a.is_file() and a.name != "report.json":  # it tells how long it took
            assert a.read_bytes() == b.read_bytes(), a.name
    fault = _run(
        extend_script.main, tmp_path / "ray", "neutral", "--dnet", "gone", "--engine", "ray",
        "--shards", 1,
    )  # fmt: skip
    assert fault == 2
    told = capsys.readouterr().err.splitlines()  # Ray itself says before that it has begun
    assert told[-1].startswith("error: gone does not exist")
