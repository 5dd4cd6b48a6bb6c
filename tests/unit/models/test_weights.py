"""Our own weight files: a network is rebuilt from one alone, strictly."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from models import weight_files, weights
from retalking.errors import WeightsError
from tests.unit.models.tiny_net import (
    CONFIG,
    StemConfig,
    TinyConfig,
    TinyENet,
    TinyNet,
    assert_holds,
    random_state,
)


def test_own_file_rebuilds_the_network(tmp_path: Path) -> None:
    network = TinyNet(CONFIG)
    network.load_state_dict(random_state(network))
    path = tmp_path / "new" / "weights.safetensors"
    weights.save(path, network, {"step": "400"})
    rebuilt = weights.load(path, TinyNet)
    assert rebuilt.config == CONFIG
    assert not rebuilt.training
    assert_holds(rebuilt, network.state_dict())
    assert weight_files.read_metadata(path)["step"] == "400"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_half_precision_storage_halves_the_file(tmp_path: Path) -> None:
    network = TinyNet(TinyConfig(width=1024))
    weights.save(tmp_path / "half.safetensors", network, dtype=torch.float16)
    weights.save(tmp_path / "full.safetensors", network)
    half, full = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "full"))
    num_floats = sum(v.numel() for v in network.state_dict().values() if v.is_floating_point())
    assert full - half == pytest.approx(2 * num_floats, abs=64)  # headers differ by some digits
    stored = safetensors.torch.load_file(tmp_path / "half.safetensors")
    assert stored["conv.weight"].dtype == torch.float16
    assert stored["norm.num_batches_tracked"].dtype == torch.int64


def test_half_precision_loads_as_float32(tmp_path: Path) -> None:
    network = TinyNet(CONFIG)
    weights.save(tmp_path / "x.safetensors", network, dtype=torch.float16)
    rebuilt = weights.load(tmp_path / "x.safetensors", TinyNet)
    assert rebuilt.conv.weight.dtype == torch.float32
    torch.testing.assert_close(rebuilt.conv.weight, network.conv.weight, rtol=1e-3, atol=1e-6)


def test_overflow_in_half_precision_is_refused(network: TinyNet, tmp_path: Path) -> None:
    with torch.no_grad():
        network.conv.weight[0, 0, 0, 0] = 1e6
    path = tmp_path / "x.safetensors"
    with pytest.raises(
        WeightsError, match=r"x.safetensors not written: .*not finite in conv.weight"
    ):
        weights.save(path, network, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_old_file(
    network: TinyNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, network)
    before = path.read_bytes()

    def fail(tensors: Any, part: Path, metadata: Any) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(WeightsError, match=r"cannot write .*: .*No space left"):
        weights.save(path, TinyNet(TinyConfig()))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_wrong_class_is_named(network: TinyNet, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, network)
    with pytest.raises(WeightsError, match="expected weights of TinyENet, got TinyNet"):
        weights.load(path, TinyENet)
    safetensors.torch.save_file({"a": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="got a file without a class name"):
        weights.load(path, TinyNet)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"width": 4, "depth": 2}, "TinyConfig has no field depth"),
        ({"width": 0}, "width: expected at least 1, got 0"),
        ({"range": [1, 2.0, 3]}, "zip"),
        ({"stem": 5}, "expected a table for StemConfig, got int"),
        ({"width": "wide"}, "wide|str"),
        ([], "expected a table for TinyConfig, got list"),
    ],
)
def test_config_that_does_not_fit_is_one_line(config: Any, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    metadata = {"class": "TinyNet", "config": json.dumps(config)}
    safetensors.torch.save_file(random_state(TinyNet(TinyConfig())), path, metadata)
    with pytest.raises(WeightsError, match=f"its model config does not fit: .*({problem})"):
        weights.load(path, TinyNet)


def test_config_field_added_later_takes_its_default(network: TinyNet, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    metadata = {"class": "TinyNet", "config": '{"width": 4, "stem": {"kernels_px": [3]}}'}
    safetensors.torch.save_file(network.state_dict(), path, metadata)
    assert weights.load(path, TinyNet).config == TinyConfig(stem=StemConfig((3,)))


def test_own_file_is_strict(network: TinyNet, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    state = random_state(network)
    del state["norm.num_batches_tracked"]  # forgiven in old official files, not in ours
    metadata = {"class": "TinyNet", "config": "{}"}
    safetensors.torch.save_file(state, path, metadata)
    with pytest.raises(WeightsError, match=r"1 missing: norm.num_batches_tracked"):
        weights.load(path, TinyNet)


def test_damaged_own_file_is_one_line(network: TinyNet, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, network)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="truncated or not a weight file"):
        weights.load(path, TinyNet)


def _rewrite(path: Path, config: str | None = None, **tensors: torch.Tensor) -> None:
    """Write a file of ``save`` anew, with another config or other tensors."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    content = safetensors.torch.load_file(path)
    if config is not None:
        metadata["config"] = config
    content.update({name.replace("__", "."): value for name, value in tensors.items()})
    safetensors.torch.save_file(content, path, metadata)


@pytest.mark.parametrize(
    "config",
    [
        '{"width": -1}',
        '{"width": 1000000000000}',
        '{"width": 4000}',
        '{"width": 1e400}',
        '{"width": null}',
        '{"stem": {"kernels_px": [-3, 1]}}',
        '{"stem": {"kernels_px": [4000, 1]}}',
        "[" * 100_000,
        '{"width": ' * 50_000 + "1" + "}" * 50_000,
        "",
        "7",
    ],
    ids=range(11),
)
def test_an_impossible_config_is_one_line_and_takes_no_memory(
    network: TinyNet, tmp_path: Path, config: str
) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, network)
    _rewrite(path, config)
    tracemalloc.start()
    with pytest.raises(WeightsError) as caught:
        weights.load(path, TinyNet)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert peak_bytes < 100e6


def test_whole_numbers_are_no_weights(network: TinyNet, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, network)
    _rewrite(path, conv__bias=torch.ones(network.config.width, dtype=torch.int16))
    with pytest.raises(WeightsError, match=r"another shape or kind: conv.bias \(file whole number"):
        weights.load(path, TinyNet)
    state = dict(network.state_dict())
    state["norm.weight"] = torch.ones(network.config.width, dtype=torch.int64)
    with pytest.raises(WeightsError, match=r"norm.weight \(file whole numbers"):
        weights.load_official(network, "GPEN", state)
