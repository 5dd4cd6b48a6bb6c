"""From one word to a whole configuration."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_file, load_profile, missing_files
from retalking.locations import CONFIGS
from retalking.weights.catalogue import FACE_ANALYSIS_WEIGHTS, read_catalogue, torch_hub_folder


def fill(folder: Path, config: InferenceConfig) -> None:
    folder.mkdir(exist_ok=True)
    for path in config.weight_files():
        (folder / path).write_bytes(b"")
    torch_hub_folder().mkdir(parents=True, exist_ok=True)
    for name in FACE_ANALYSIS_WEIGHTS[config.face_analysis]:
        read_catalogue().named(name).path(folder).write_bytes(b"")


@pytest.fixture(autouse=True)
def _own_torch_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("profile", ["official", "lite", "small"])
def test_a_profile_is_its_file(profile: str) -> None:
    assert load_profile(profile, {}) == load_file(CONFIGS / "inference" / f"{profile}.yaml", {})


def test_lite_needs_no_file_that_is_not_here() -> None:
    assert missing_files(load_profile("lite", {})) == []
    assert missing_files(load_profile("small", {})) == []


def test_options_and_overrides_come_last() -> None:
    options = {"crf": 3, "checkpoints": Path("some where"), "batch_size": None, "box": (1, 2, 3, 4)}
    config = load_profile("lite", options, ["crf=7", "pads=[1, 2, 3, 4]"])
    assert config.crf == 7
    assert config.checkpoints == Path("some where")
    assert config.batch_size is None
    assert config.box == (1, 2, 3, 4)
    assert config.pads == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "text", ["1e5", "null", "a: b", "# x", "tr\u00e9s 'q' \"d\" \\ \u65e5\u672c", "", "on"]
)
def test_text_stays_text(text: str) -> None:
    assert load_profile("lite", {"exp_img": text}).exp_img == text


def test_auto_is_lite_where_official_weights_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"checkpoints": tmp_path}
    assert load_profile("auto", options) == load_profile("lite", options)
    assert (
        "profile lite: the official one lacks 10 files (DNet.pt, LNet.pth, ENet.pth" in caplog.text
    )


def test_auto_is_official_where_all_its_weights_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"checkpoints": tmp_path}
    official = load_profile("official", options)
    fill(tmp_path, official)
    with caplog.at_level(logging.INFO):
        assert load_profile("auto", options) == official
    assert "profile official: all its files are here" in caplog.text
    (tmp_path / "ENet.pth").unlink()
    assert load_profile("auto", options).face_analysis == "lite"
    assert "lacks 1 files (ENet.pth)" in caplog.text


def test_another_detector_has_another_file(tmp_path: Path) -> None:
    official = load_profile("official", {"checkpoints": tmp_path})
    fill(tmp_path, official)
    config = load_profile("official", {"checkpoints": tmp_path, "face_analysis": "retinaface"})
    assert missing_files(config) == ["detection_Resnet50_Final.pth"]
    assert config.uses_face3d == official.uses_face3d
    fill(tmp_path, config)
    assert missing_files(config) == []


def test_auto_asks_only_for_what_the_options_use(tmp_path: Path) -> None:
    fill(tmp_path, load_profile("official", {"checkpoints": tmp_path}))
    (tmp_path / "GFPGANv1.3.pth").unlink()
    options = {"checkpoints": tmp_path, "restorer": "none"}
    assert load_profile("auto", options).face_analysis == "official"
    assert load_profile("auto", options, ["up_face=sad"]).face_analysis == "lite"


def test_weights_are_looked_for_under_their_own_path_first(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"")
    config = load_profile("small", {"dnet": mine, "checkpoints": tmp_path / "nowhere"})
    assert missing_files(config) == []
    gone = load_profile("small", {"dnet": tmp_path / "gone.pt"})
    assert missing_files(gone) == [str(tmp_path / "gone.pt")]


@pytest.mark.parametrize(
    ("options", "overrides", "message"),
    [
        ({"crf": 99}, [], "crf: got 99"),
        ({"codek": "x"}, [], "codek: unknown key; closest: codec"),
        ({}, ["devise=cpu"], "--set devise=cpu: devise: unknown key; closest: device"),
        ({"device": "tpu"}, [], "device: got 'tpu'"),
        ({"pads": [1, 2, 3]}, [], "pads.3"),
        ({"pads": [-1, 0, 0, 0]}, [], "pads.0: got -1"),
        ({"restorer_strength": 1.01}, [], "restorer_strength: got 1.01"),
        ({"max_seconds": 0}, [], "max_seconds: got 0"),
        ({"face_index": 0, "face_box": [0, 0, 9, 9]}, [], "give only one of face_index, face_box"),
        ({}, ["crf"], "--set crf: expected KEY=VALUE"),
    ],
)
def test_a_bad_value_is_named(
    options: dict[str, object], overrides: list[str], message: str
) -> None:
    for profile in ("official", "lite", "small", "auto"):
        with pytest.raises(ConfigError) as caught:
            load_profile(profile, options, overrides)
        assert message in str(caught.value)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ConfigError, match="--profile: got best, expected auto, official, lite"):
        load_profile("best", {})
