"""Other programs compute what PyTorch computes; without them the error says what to do."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import weights
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from retalking.errors import ConfigError
from retalking.inference.profiles import load_profile
from retalking.mouth.networks.device_mouth import DeviceMouth
from retalking.networks import load
from retalking.networks.calls import edit_expression, restore_faces, synthesise_lips
from retalking.networks.engines.export import example_inputs, export_onnx
from retalking.networks.engines.run import EngineName, choose_engine, run_with
from retalking.networks.runner import Runner
from scripts import export
from tests.small_networks import write_small_networks
from third_party.gfpgan import GFPGAN, GFPGANConfig
from third_party.gpen import GPEN, GPENConfig
from third_party.parsenet import ParseNet, ParseNetConfig
from third_party.windows import Window

CPU = torch.device("cpu")
INSTALLED = {"openvino": "openvino", "onnx": "onnxruntime"}
FACES = 3
PARSENET = ParseNetConfig(base_channels=4, max_channels=8, num_halvings=2, body_depth=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_small_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(params=["openvino", "onnx"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    for package in ("onnx", INSTALLED[request.param]):
        pytest.importorskip(package, reason="needs requirements-engines.txt")
    return request.param


def runner() -> Runner:
    return Runner(CPU, torch.float32, FACES)  # another batch than files are written with


def pictures(side_px: int, seed: int = 0) -> np.ndarray:
    size = (FACES, side_px // 8, side_px // 8, 3)
    coarse = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2))


def placed(network: nn.Module) -> nn.Module:
    return runner().place(network)


def grey_levels_apart(made: np.ndarray, want: np.ndarray) -> float:
    assert want.std() > 5
    return float(np.abs(made.astype(int) - want).mean())


@pytest.mark.parametrize("kind", [ENet, LNet])
def test_lips_are_the_same(
    engine: EngineName, files: dict[str, Path], kind: type[ENet] | type[LNet]
) -> None:
    network = placed(weights.load(files[kind.__name__.lower()], kind))
    mels = np.random.default_rng(1).uniform(-4, 4, (FACES, 1, 80, 16)).astype(np.float32)
    inputs = (pictures(384), pictures(384, 1), mels)
    want = synthesise_lips(runner(), network, *inputs)  # type: ignore[arg-type]
    run_with(engine, network, runner())
    assert all(parameter.is_meta for parameter in network.parameters())
    made = synthesise_lips(runner(), network, *inputs)  # type: ignore[arg-type]
    assert grey_levels_apart(made.rgb, want.rgb) < 0.5
    assert np.abs(made.low_res - want.low_res).mean() * 255 < 0.5


def test_expressions_are_the_same(engine: EngineName, files: dict[str, Path]) -> None:
    network = placed(weights.load(files["dnet"], DNet))
    assert isinstance(network, DNet)
    windows = np.random.default_rng(1).standard_normal((FACES, 73, 26)).astype(np.float32)
    want = edit_expression(runner(), network, pictures(256), windows)
    in_bf16 = Runner(CPU, torch.bfloat16, FACES)
    run_with(engine, network, in_bf16)  # D-Net is computed in fp32 all the same
    made = edit_expression(runner(), network, pictures(256), windows)
    assert grey_levels_apart(made, want) < 0.5


@pytest.mark.parametrize("kind", ["gpen", "gfpgan"])
def test_restored_faces_are_the_same(engine: EngineName, kind: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"size_px": 64, "style_dim": 32, "narrow": 0.05, "num_mlp_layers": 2}
        network = (
            GPEN(GPENConfig(**size)) if kind == "gpen" else GFPGAN(GFPGANConfig(**size))  # type: ignore[arg-type]
        )
    placed(network)
    window = Window(16, 16, 64, 48, 64, 2)
    want, part = (restore_faces(runner(), network, pictures(64), seen) for seen in (None, window))
    run_with(engine, network, runner())
    assert grey_levels_apart(restore_faces(runner(), network, pictures(64)), want) < 0.5
    assert grey_levels_apart(restore_faces(runner(), network, pictures(64), window), part) < 0.5


def test_the_parser_is_exported_for_any_batch(engine: EngineName) -> None:
    network = placed(ParseNet(PARSENET))
    (faces,) = example_inputs(network, 1)
    with torch.inference_mode():
        want = network(faces)
    run_with(engine, network, runner())
    torch.testing.assert_close(network(faces), want, atol=1e-3, rtol=1e-3)


def test_pictures_travel_to_an_engine_and_are_counted(engine: EngineName) -> None:
    """Engines read the host's memory, wherever the other steps are computed."""
    network = placed(ParseNet(PARSENET))
    (faces,), host = example_inputs(network, FACES), runner()
    run_with(engine, network, host)
    network(faces)
    assert (host.traffic.num_fetched, host.traffic.num_sent) == (1, 1)
    assert host.traffic.bytes_fetched == FACES * 3 * 512 * 512 * 4


@pytest.mark.parametrize("name", ["auto", "torch", "openvino", "onnx"])
def test_pictures_stay_on_the_device_for_pytorch_only(
    name: EngineName, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = Runner(CPU, torch.float32, 2, holds_pictures=True)
    monkeypatch.setattr(load, "make_runner", lambda *_: on_gpu)
    if name in INSTALLED:  # as if it were
        monkeypatch.setattr(load, "choose_engine", lambda *_: name)
        monkeypatch.setattr(load, "run_with", lambda *_: None)
    options = {**files, "engine": name, "reference_source": "current"}
    config = load_profile("small", options)
    assert DeviceMouth.suits(load.load_parts(config), config) == (name not in INSTALLED)


def test_the_script_writes_files_and_says_how_exact_they_are(
    engine: EngineName, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = [f"--set={name}={path}" for name, path in files.items()]
    command = ["--to", engine, "--folder", str(tmp_path), "--profile", "small", *networks]
    assert export.main(command) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == ["dnet", "lnet", "enet"]
    assert all(Path(row[2].strip()).is_file() for row in rows)
    assert all(float(row[4]) < 1e-3 for row in rows)


def test_a_network_of_another_kind_has_no_exported_form(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="export: got a Linear"):
        export_onnx(nn.Linear(2, 2), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_automatic_is_torch_and_a_missing_engine_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_engine("auto", CPU) == "torch"
    assert choose_engine("torch", CPU) == "torch"

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    for name in ("openvino", "onnx"):
        with pytest.raises(ConfigError, match=r"not installed; run .*requirements-engines\.txt"):
            choose_engine(name, CPU)  # type: ignore[arg-type]


def test_openvino_computes_on_the_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda _: object())
    with pytest.raises(ConfigError, match="--engine openvino: runs on the CPU"):
        choose_engine("openvino", torch.device("cuda"))
