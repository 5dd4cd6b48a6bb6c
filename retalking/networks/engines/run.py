"""Letting another program than PyTorch compute a loaded network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.dnet import DNet, DNetOutput
from models.enet import ENet, ENetOutput
from retalking.errors import ConfigError
from retalking.networks.engines import tensorrt
from retalking.networks.engines.export import export_onnx, require
from retalking.networks.runner import Runner
from retalking.types import FloatArray
from third_party.windows import Window

EngineName = Literal["auto", "torch", "openvino", "onnx", "tensorrt"]
Compute = Callable[[Sequence[FloatArray]], list[FloatArray]]

_RESULTS: dict[type[nn.Module], Callable[..., Any]] = {DNet: DNetOutput, ENet: ENetOutput}
_PACKAGES: dict[EngineName, str] = {
    "openvino": "openvino",
    "onnx": "onnxruntime",
    "tensorrt": "onnxruntime",
}


def choose_engine(name: EngineName, device: torch.device) -> EngineName:
    """Return what computes the networks: ``auto`` is PyTorch, which needs no further package.

    With bfloat16 it was also the fastest (docs/performance.md).

    Raises:
        ConfigError: the named engine is not installed, or cannot use the device.
    """
    if name == "auto":
        return "torch"
    if name != "torch":
        require_engine(name)
    if name == "openvino" and device.type != "cpu":
        raise ConfigError(f"--engine openvino: runs on the CPU, but --device is {device.type}")
    if name == "tensorrt":
        tensorrt.require_tensorrt(device, require("onnxruntime").get_available_providers())
    return name


def require_engine(name: EngineName) -> None:
    """Check that an engine, and what writes its files, is installed.

    Raises:
        ConfigError: it is not.
    """
    for package in ("onnx", _PACKAGES[name]):
        require(package)


def run_with(engine: EngineName, network: nn.Module, runner: Runner) -> None:
    """Let an engine compute a network from now on, whose weights PyTorch then forgets.

    The network keeps its class, its configuration and what is built on ``forward``. Engines read
    and write the host's memory: inputs come back from the runner's device, and results go there.

    Args:
        engine: of ``choose_engine``.
        network: see ``example_inputs`` for the kinds.
        runner: runs it. In less than float32, so may the engine: OpenVINO in bfloat16, TensorRT in
            float16.

    Raises:
        ConfigError: another kind of network.
    """
    if engine == "torch":
        return
    half = tensorrt.may_be_half(network, runner.precision)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(network, path)
        if engine == "openvino":
            compute = load_openvino(path, runner.precision if half else torch.float32)
        elif engine == "onnx":
            compute = load_onnx(path)
        else:
            shapes, most = tensorrt.shapes_of(network), runner.size_for(network)
            compute = load_onnx(path, tensorrt.choose_providers(path, shapes, most, half))
    make: Callable[..., Any] = _RESULTS.get(type(network), lambda only: only)

    def forward(*inputs: Tensor | None, window: Window | None = None, **_: bool) -> Any:
        given = [runner.fetch(part.float()).numpy() for part in inputs if part is not None]
        results = compute(list(map(np.ascontiguousarray, given)))
        made = [runner.send(torch.from_numpy(part)) for part in results]
        return make(*made) if window is None else window.of(*made)  # whole pictures, all of them

    network.to("meta")
    network.forward = forward


def load_onnx(path: Path, providers: Sequence[tensorrt.Provider] | None = None) -> Compute:
    """Return what computes an exported file.

    Args:
        path: of the file.
        providers: of ONNX Runtime, best first; all that it has here but TensorRT, which would build
            an engine first, if not given.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    if providers:
        session = tensorrt.open_session(runtime, path, options, providers)
    else:
        available = runtime.get_available_providers()
        usual = [name for name in available if name != tensorrt.PROVIDER]
        session = runtime.InferenceSession(str(path), options, providers=usual)
    names = [given.name for given in session.get_inputs()]

    def compute(inputs: Sequence[FloatArray]) -> list[FloatArray]:
        made: list[FloatArray] = session.run(None, dict(zip(names, inputs, strict=True)))
        return made

    return compute


def load_openvino(path: Path, precision: torch.dtype = torch.float32) -> Compute:
    """Return what computes an exported file, ONNX or OpenVINO's own, on the CPU."""
    openvino = require("openvino")
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(str(path), "CPU", options)

    def compute(inputs: Sequence[FloatArray]) -> list[FloatArray]:
        found = model(list(inputs))
        return [np.array(found[output]) for output in model.outputs]

    return compute
