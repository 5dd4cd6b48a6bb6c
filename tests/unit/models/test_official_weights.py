"""Official checkpoints: their wrappers, and every way of not fitting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models import weights
from retalking.errors import WeightsError
from tests.unit.models.tiny_net import (
    CONFIG,
    PlainNet,
    TinyConfig,
    TinyENet,
    TinyNet,
    assert_holds,
    prefixed,
    random_state,
    saved,
)

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


def test_enet_of_the_release_takes_an_lnet_of_ours(tmp_path: Path) -> None:
    tuned, own = TinyNet(TinyConfig()), random_state(TinyENet(TinyConfig()))
    tuned.load_state_dict(random_state(tuned))
    weights.save(tmp_path / "tuned.safetensors", tuned)
    enet_file = saved(tmp_path / "ENet.pth", {"state_dict": prefixed(own)})
    enet = weights.load_any(enet_file, TinyENet, "ENet", tmp_path / "tuned.safetensors")
    assert_holds(enet.low_res, tuned.state_dict())
    torch.testing.assert_close(enet.rgb.weight, own["rgb.weight"], rtol=0, atol=0)
    weights.save(tmp_path / "enet.safetensors", enet)
    with pytest.raises(WeightsError, match=r"enet.safetensors: expected weights of TinyNet"):
        weights.load_any(enet_file, TinyENet, "ENet", tmp_path / "enet.safetensors")


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
        "extra.2, extra.3, extra.4 and 3 more; 1 of another shape or kind: conv.bias (file [9], "
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
