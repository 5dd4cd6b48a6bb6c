"""Weight files: official wrappers, our own safetensors, and every way of being refused."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from models import weight_files, weights
from retalking.errors import ConfigError, WeightsError


@dataclasses.dataclass(frozen=True)
class StemConfig:
    kernels_px: tuple[int, ...] = (3, 1)
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class TinyConfig:
    width: int = 4
    stem: StemConfig = StemConfig()
    range: tuple[int, float] = (0, 1.0)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"width: expected at least 1, got {self.width}")


class TinyNet(nn.Module):
    """Convolution and batch norm, so that buffers and counters are part of the game."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(3, config.width, config.stem.kernels_px[0])
        self.norm = nn.BatchNorm2d(config.width)


class TinyENet(nn.Module):
    """Owns an L-Net the way E-Net does."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.low_res = TinyNet(config)
        self.rgb = nn.Linear(2, config.width)


class PlainNet(nn.Module):
    """A network of others: no config."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)


def random_state(network: nn.Module) -> dict[str, Tensor]:
    return {
        k: torch.rand(v.shape) if v.is_floating_point() else torch.tensor(7)
        for k, v in network.state_dict().items()
    }


def assert_holds(network: nn.Module, state: dict[str, Tensor]) -> None:
    found = network.state_dict()
    assert set(found) == set(state)
    for key, value in state.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


def saved(path: Path, content: Any, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def network() -> TinyNet:
    return TinyNet(TinyConfig())


def prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"module." + k: v for k, v in state.items()}


# ------------------------------------------------------------------ official wrappers
WRAPPERS: dict[str, tuple[str, Callable[[dict[str, Tensor]], dict[str, Any]]]] = {
    "DNet": ("DNet", lambda s: {"net_G_ema": s, "net_G": {}, "current_epoch": 3}),
    "LNet": ("LNet", lambda s: {"state_dict": prefixed(s), "low_res": 1}),
    "LNet without module": ("LNet", lambda s: {"state_dict": s}),
    "LNet low_res skipped": (
        "LNet",
        lambda s: {"state_dict": {**prefixed(s), "module.low_res.conv.bias": torch.ones(1)}},
    ),
    "face3d": ("face3d", lambda s: {"net_recon": s, "opt_00": {"lr": 1e-4}}),
    "GFPGAN ema": ("GFPGAN", lambda s: {"params_ema": s, "params": {}}),
    "GFPGAN params": ("GFPGAN", lambda s: {"params": s}),
    "GPEN": ("GPEN", dict),
    "ParseNet": ("ParseNet", dict),
    "RetinaFace plain": ("RetinaFace", prefixed),
    "RetinaFace wrapped": ("RetinaFace", lambda s: {"state_dict": prefixed(s)}),
    "RetinaFace facexlib": ("RetinaFace", dict),
    "GANimation": (
        "GANimation",
        lambda s: {
            **s,
            "model.1.running_mean": torch.zeros(4),
            "model.1.running_var": torch.ones(4),
            "model.1.num_batches_tracked": torch.tensor(1),
            "_metadata": {"": {"version": 1}},
        },
    ),
    "S3FD": ("S3FD", dict),
    "ArcFace": ("ArcFace", dict),
    "lipsync_expert": ("lipsync_expert", lambda s: {"state_dict": s, "global_step": 1}),
    "lipsync_expert DDP": ("lipsync_expert", lambda s: {"state_dict": prefixed(s)}),
    "syncnet_v2": ("syncnet_v2", dict),
    "inception": ("inception", dict),
}


@pytest.mark.parametrize("case", WRAPPERS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_official_wrapper_loads(case: str, legacy: bool, network: TinyNet, tmp_path: Path) -> None:
    name, wrap = WRAPPERS[case]
    state = random_state(network)
    path = saved(tmp_path / "file.pth", wrap(state), legacy)
    weights.load_official(network, name, path)
    assert_holds(network, state)


def test_every_official_format_is_tested() -> None:
    assert {name for name, _ in WRAPPERS.values()} | {"ENet"} == set(weights.OFFICIAL_FORMATS)


@pytest.mark.parametrize("name", ["DNet", "LNet", "face3d", "GFPGAN", "lipsync_expert"])
def test_missing_wrapper_is_named(name: str, network: TinyNet) -> None:
    entry = weights.OFFICIAL_FORMATS[name].entries[0]
    with pytest.raises(WeightsError, match=f'expected an entry "{entry}".*got conv.weight'):
        weights.load_official(network, name, random_state(network))


def test_enet_takes_its_lnet_from_the_lnet_file(tmp_path: Path) -> None:
    network = TinyENet(TinyConfig())
    lnet_state, own = random_state(network.low_res), random_state(network)
    enet_file = saved(tmp_path / "ENet.pth", {"state_dict": prefixed(own)})  # with stale copies
    lnet_file = saved(tmp_path / "LNet.pth", {"state_dict": lnet_state})
    weights.load_official(network, "ENet", enet_file, lnet_file)
    assert_holds(network.low_res, lnet_state)
    torch.testing.assert_close(network.rgb.weight, own["rgb.weight"], rtol=0, atol=0)


def test_enet_alone_is_refused() -> None:
    network = TinyENet(TinyConfig())
    with pytest.raises(WeightsError, match=r"needs both ENet.pth and LNet.pth"):
        weights.load_official(network, "ENet", {"state_dict": random_state(network)})
    with pytest.raises(WeightsError, match=r"GPEN takes one file"):
        weights.load_official(network, "GPEN", {}, {})


def test_counters_of_old_pytorch_may_be_absent(network: TinyNet) -> None:
    state = random_state(network)
    del state["norm.num_batches_tracked"]
    weights.load_official(network, "GPEN", state)
    assert_holds(network, {**state, "norm.num_batches_tracked": torch.tensor(0)})


def test_ganimation_drops_nothing_but_statistics(network: TinyNet) -> None:
    state = {**random_state(network), "model.9.weight": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"1 unexpected: model.9.weight$"):
        weights.load_official(network, "GANimation", state)
    without = random_state(network)
    del without["norm.running_mean"]  # one that the model does have
    with pytest.raises(WeightsError, match=r"1 missing: norm.running_mean$"):
        weights.load_official(network, "GANimation", without)


def test_mismatch_lists_everything_and_changes_nothing(network: TinyNet, tmp_path: Path) -> None:
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = random_state(network)
    del state["norm.bias"]
    state["conv.bias"] = torch.ones(9)
    state.update({f"extra.{i}": torch.ones(1) for i in range(8)})
    path = saved(tmp_path / "wrong.pth", state)
    with pytest.raises(WeightsError) as caught:
        weights.load_official(network, "GPEN", path)
    assert str(caught.value) == (
        f"{path} does not fit TinyNet: 1 missing: norm.bias; 8 unexpected: extra.0, extra.1, "
        "extra.2, extra.3, extra.4 and 3 more; 1 of another shape: conv.bias (file [9], "
        "network [4])"
    )
    assert_holds(network, before)


def test_entry_that_is_no_tensor_is_refused(network: TinyNet) -> None:
    state: dict[str, Any] = {**random_state(network), "conv.bias": [1.0, 2.0]}
    with pytest.raises(WeightsError, match=r"conv.bias \(file no tensor, network \[4\]\)"):
        weights.load_official(network, "GPEN", state)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float, network: TinyNet) -> None:
    state = random_state(network)
    state["conv.weight"][0, 0, 0, 0] = value
    with pytest.raises(WeightsError, match=r"GPEN checkpoint: .*not finite in conv.weight"):
        weights.load_official(network, "GPEN", state)


# ------------------------------------------------------------------ reading torch files safely
def test_plain_data_of_training_runs_is_accepted(network: TinyNet, tmp_path: Path) -> None:
    state = random_state(network)
    extras = {
        "milestones": collections.Counter([10, 20]),
        "best": np.float64(0.5),
        "step": np.int64(3),
        "learning_rate": np.float32(1e-4),
        "options": argparse.Namespace(batch_size=4),
    }
    path = saved(tmp_path / "DNet.pt", {"net_G_ema": state, **extras})
    weights.load_official(network, "DNet", path)
    assert_holds(network, state)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_other_classes_are_refused_by_name(legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"when": datetime.timedelta(1)}, legacy)
    with pytest.raises(WeightsError, match=r"x.pth holds objects of class datetime.timedelta"):
        weight_files.read_torch_file(path)


class _Creator:
    """Would create a file while being unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    path = saved(tmp_path / "evil.pth", {"a": _Creator(trap)})
    with pytest.raises(WeightsError, match=r"evil.pth"):
        weight_files.read_torch_file(path)
    assert not trap.exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.99])
def test_truncated_file_is_one_line(kept: float, legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.rand(1000), "b": torch.rand(10)}, legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match=r"truncated or not a weight file; fetch it again$") as e:
        weight_files.read_torch_file(path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("content", [b"\x00\xff garbage" * 50, b"hello", b"PK\x03\x04 no archive"])
def test_garbage_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"x.pth \({len(content)} bytes\) is truncated or not"):
        weight_files.read_torch_file(path)


def test_web_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"\n<!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(WeightsError, match="is a web page, not weights"):
        weight_files.read_torch_file(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wav2lip_gan.pth"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(WeightsError, match=r"wav2lip_gan.pth is a TorchScript program"):
        weight_files.read_torch_file(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist; official files: python -m"):
        weight_files.read_torch_file(tmp_path / "LNet.pth")
    with pytest.raises(WeightsError, match=r"cannot read .*: Is a directory"):
        weight_files.read_torch_file(tmp_path)


def test_file_without_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a dictionary of tensors, got Tensor"):
        weight_files.read_torch_file(saved(tmp_path / "x.pth", torch.ones(2)))


# ------------------------------------------------------------------ our own files
CONFIG = TinyConfig(width=5, stem=StemConfig((5, 3, 1), "blue"), range=(-1, 0.5))


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


# ------------------------------------------------------------------ either kind
def test_load_any_tells_by_content(tmp_path: Path) -> None:
    own, official = tmp_path / "mine.pth", tmp_path / "DNet.bin"  # misleading names
    weights.save(own, TinyNet(CONFIG))
    state = random_state(TinyNet(TinyConfig()))
    saved(official, {"net_G_ema": state})
    assert weights.load_any(own, TinyNet, "DNet").config == CONFIG
    loaded = weights.load_any(official, TinyNet, "DNet")
    assert not loaded.training
    assert_holds(loaded, state)


def test_load_any_of_enet_and_of_networks_without_config(tmp_path: Path) -> None:
    state = random_state(TinyENet(TinyConfig()))
    lnet = {k.removeprefix("low_res."): v for k, v in state.items() if "low_res." in k}
    enet_file = saved(tmp_path / "ENet.pth", {"state_dict": state})
    lnet_file = saved(tmp_path / "LNet.pth", {"state_dict": lnet})
    assert_holds(weights.load_any(enet_file, TinyENet, "ENet", lnet_file), state)
    plain = random_state(PlainNet())
    assert_holds(weights.load_any(saved(tmp_path / "GPEN.pth", plain), PlainNet, "GPEN"), plain)


def test_load_any_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none.pth does not exist"):
        weights.load_any(tmp_path / "none.pth", TinyNet, "DNet")
    path = saved(tmp_path / "LNet.pth", {"state_dict": {}})
    with pytest.raises(WeightsError, match=r'LNet.pth: expected an entry "net_G_ema", got state_'):
        weights.load_any(path, TinyNet, "DNet")
