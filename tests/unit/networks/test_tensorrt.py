"""TensorRT gets what it needs to be told, and what is missing is one line; no GPU is needed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from models import weights
from models.dnet import DNet
from models.lnet import LNet
from retalking.errors import ConfigError
from retalking.networks.engines import run, tensorrt
from retalking.networks.runner import Runner
from scripts import export
from tests.small_networks import write_small_networks

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ALL = [tensorrt.PROVIDER, "CUDAExecutionProvider", "CPUExecutionProvider"]
SHAPES = {"input0": (1, 80, 16), "input1": (6, 96, 96)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_small_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Session:
    """Has as providers what it was asked for, as far as they can be loaded here."""

    def __init__(self, runtime: Runtime, providers: Sequence[Any]) -> None:
        self.asked = list(providers)
        names = [given if isinstance(given, str) else given[0] for given in providers]
        self._loaded = [name for name in names if name in runtime.loadable]

    def get_providers(self) -> list[str]:
        return self._loaded

    def get_inputs(self) -> list[Any]:
        return []


class Runtime(SimpleNamespace):
    """ONNX Runtime as it answers on a machine with a GPU."""

    def __init__(self, built_with: list[str], loadable: list[str]) -> None:
        super().__init__(built_with=built_with, loadable=loadable, sessions=[])

    SessionOptions = SimpleNamespace

    def get_available_providers(self) -> list[str]:
        return self.built_with

    def set_default_logger_severity(self, _: int) -> None: ...

    def InferenceSession(self, _: str, __: Any, providers: Sequence[Any], **___: int) -> Session:
        self.sessions.append(Session(self, providers))
        return self.sessions[-1]


def install(monkeypatch: pytest.MonkeyPatch, **packages: object) -> None:
    """Let these be the only engines that can be imported."""
    real = importlib.import_module

    def find(name: str, package: str | None = None) -> object:
        if name not in ("onnx", "onnxruntime", "tensorrt"):
            return real(name, package)
        if name not in packages:
            raise ImportError(name)
        return packages[name]

    monkeypatch.setattr(importlib, "import_module", find)


def test_what_is_missing_is_said_in_the_order_of_mending(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, onnx=1)
    with pytest.raises(ConfigError, match="onnxruntime is not installed"):
        run.choose_engine("tensorrt", CPU)
    install(monkeypatch, onnx=1, onnxruntime=Runtime(ALL[1:], ALL))
    with pytest.raises(ConfigError, match=r"has no TensorRT; run .* onnxruntime-gpu tensorrt"):
        run.choose_engine("tensorrt", CPU)
    install(monkeypatch, onnx=1, onnxruntime=Runtime(ALL, ALL))
    with pytest.raises(ConfigError, match="needs an NVIDIA GPU, but --device is cpu"):
        run.choose_engine("tensorrt", CPU)
    assert run.choose_engine("tensorrt", CUDA) == "tensorrt"


def test_batches_are_free_and_engines_are_kept_by_the_weights(tmp_path: Path) -> None:
    models = [tmp_path / name for name in ("a.onnx", "same.onnx", "other.onnx")]
    for model, content in zip(models, (b"1", b"1", b"2"), strict=True):
        model.write_bytes(content)
    chosen = [tensorrt.choose_providers(model, SHAPES, 16, True) for model in models]
    (name, options), *others = chosen[0]
    assert [name, *others] == ALL
    assert isinstance(options, dict)
    assert options["trt_fp16_enable"] is True
    assert options["trt_profile_min_shapes"] == "input0:1x1x80x16,input1:1x6x96x96"
    assert options["trt_profile_max_shapes"] == "input0:16x1x80x16,input1:16x6x96x96"
    folders = [Path(providers[0][1]["trt_engine_cache_path"]) for providers in chosen]  # type: ignore[index]
    assert all(folder.is_dir() and tmp_path / "cache" in folder.parents for folder in folders)
    assert folders[0] == folders[1] != folders[2]


@pytest.mark.parametrize(
    ("kind", "precision", "half"),
    [(LNet, torch.bfloat16, True), (LNet, torch.float32, False), (DNet, torch.float16, False)],
)
def test_a_flow_is_computed_in_fp32(
    kind: type[LNet] | type[DNet],
    precision: torch.dtype,
    half: bool,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = Runtime(ALL, ALL)
    install(monkeypatch, onnx=1, onnxruntime=runtime)
    monkeypatch.setattr(run, "export_onnx", lambda _, path: path.write_bytes(b"model"))
    network = weights.load(files[kind.__name__.lower()], kind)
    run.run_with("tensorrt", network, Runner(CPU, precision, 8))
    ((name, options), *_) = runtime.sessions[0].asked
    assert name == tensorrt.PROVIDER
    assert options["trt_fp16_enable"] is half
    assert options["trt_profile_opt_shapes"].startswith("input0:8x")


def test_nothing_else_computes_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"1")
    runtime = Runtime(ALL, ALL[1:])
    install(monkeypatch, onnxruntime=runtime)
    with pytest.raises(ConfigError, match=r"could not load TensorRT; run .*LD_LIBRARY_PATH"):
        run.load_onnx(model, tensorrt.choose_providers(model, SHAPES, 4, True))
    run.load_onnx(model)  # --engine onnx does not wait for engines that are built
    assert runtime.sessions[-1].asked == ALL[1:]


def test_engines_are_built_for_batches_of_any_size(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = MagicMock()
    builder = package.Builder.return_value
    builder.build_serialized_network.return_value = b"engine"
    install(monkeypatch, tensorrt=package)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = weights.load(files["lnet"], LNet)
    source, path = tmp_path / "lnet.onnx", tmp_path / "lnet.engine"
    tensorrt.onnx_to_tensorrt(source, path, tensorrt.shapes_of(network), 16, half=True)
    assert path.read_bytes() == b"engine"
    profile = builder.create_optimization_profile.return_value
    calls = {call.args[0]: call.args[1:] for call in profile.set_shape.call_args_list}
    assert calls["input1"] == ((1, 6, 96, 96), (16, 6, 96, 96), (16, 6, 96, 96))
    builder.create_builder_config.return_value.set_flag.assert_called_once()
    package.OnnxParser.return_value.parse_from_file.return_value = False
    with pytest.raises(ConfigError, match=r"lnet\.onnx: TensorRT cannot read it"):
        tensorrt.onnx_to_tensorrt(source, path, SHAPES, 16, half=False)


@pytest.mark.parametrize("precision", [[], ["--precision", "fp32"]])
def test_the_script_writes_an_engine_beside_each_file(
    precision: list[str],
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    builder = (package := MagicMock()).Builder.return_value
    builder.build_serialized_network.return_value = b"engine"
    install(monkeypatch, onnx=1, onnxruntime=1, tensorrt=package)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(export, "export_onnx", lambda _, path: path.write_bytes(b"model"))
    monkeypatch.setattr(export, "deviation", lambda *_: (0.0, 0.0))
    networks = [f"--set={name}={path}" for name, path in files.items()]
    command = ["--to", "tensorrt", "--folder", str(tmp_path), "--profile", "small"]
    assert export.main([*command, *networks, *precision]) == 0
    assert "lnet.onnx" in capsys.readouterr().out
    assert {path.stem for path in tmp_path.glob("*.engine")} == {"dnet", "lnet", "enet"}
    in_half = builder.create_builder_config.return_value.set_flag.call_count
    assert in_half == (0 if precision else 2)  # D-Net is not


def test_the_script_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--to", "tensorrt", "--folder", str(tmp_path / "made"), "--profile", "small"]
    lines = []
    for packages in ({}, {"tensorrt": MagicMock()}):
        install(monkeypatch, onnx=1, onnxruntime=1, **packages)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert export.main(command) == 2
        lines.append(capsys.readouterr().err)
    assert "pip install tensorrt" in lines[0]
    assert "this machine has none; use --to onnx" in lines[1]
    assert all(line.count("\n") == 1 for line in lines)
    assert not (tmp_path / "made").exists()
