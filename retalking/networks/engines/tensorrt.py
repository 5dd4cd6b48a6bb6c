"""TensorRT: inside ONNX Runtime for the pipeline, or as a file of its own.

Not run so far: there was no GPU. An engine is built for the GPU, the sizes of pictures and the
largest batch that it will see, which takes minutes; ONNX Runtime keeps it in the user's cache.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.dnet import DNet
from retalking.cache_folder import make_private
from retalking.errors import ConfigError
from retalking.files import replacing, sha256_of
from retalking.locations import user_cache
from retalking.networks.engines.export import example_inputs

PROVIDER = "TensorrtExecutionProvider"
_AFTER_IT = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What computes the nodes that TensorRT does not know, in this order."""
_FATAL = 4  # of ONNX Runtime's log
_PACKAGES = ".venv/bin/pip uninstall onnxruntime; .venv/bin/pip install onnxruntime-gpu tensorrt"

Provider = str | tuple[str, dict[str, Any]]


def require_tensorrt(device: torch.device, providers: Sequence[str]) -> None:
    """Check that ONNX Runtime can hand networks to TensorRT.

    Args:
        device: where networks run.
        providers: that this ONNX Runtime was built with.

    Raises:
        ConfigError: it was built without, or there is no NVIDIA GPU.
    """
    if PROVIDER not in providers:
        raise ConfigError(f"--engine tensorrt: this ONNX Runtime has no TensorRT; run {_PACKAGES}")
    if device.type != "cuda":
        raise ConfigError(
            f"--engine tensorrt: needs an NVIDIA GPU, but --device is {device.type}; "
            "use --engine torch"
        )


def require_builder() -> Any:
    """Import what builds engines without ONNX Runtime.

    Raises:
        ConfigError: it is not installed, or there is no GPU to build for.
    """
    try:
        package = importlib.import_module("tensorrt")
    except ImportError as error:
        raise ConfigError(
            "tensorrt is not installed; run .venv/bin/pip install tensorrt, or use --to onnx"
        ) from error
    if not torch.cuda.is_available():
        raise ConfigError(
            "--to tensorrt: an engine is built on the NVIDIA GPU that is to run it, and this "
            "machine has none; use --to onnx"
        )
    return package


def open_session(runtime: Any, model: Path, options: Any, providers: Sequence[Provider]) -> Any:
    """Return ONNX Runtime's session of a model, which TensorRT computes or nobody.

    Args:
        runtime: the package ``onnxruntime``.
        model: ONNX file.
        options: its ``SessionOptions``.
        providers: of ``choose_providers``.

    Raises:
        ConfigError: TensorRT's libraries could not be loaded.
    """
    runtime.set_default_logger_severity(_FATAL)  # what it would log is said below
    failure: Exception | None = None
    try:
        session = runtime.InferenceSession(
            str(model), options, providers=providers, enable_fallback=0
        )
        if PROVIDER in session.get_providers():
            return session
    except (RuntimeError, ValueError) as error:
        failure = error
    raise ConfigError(
        f"--engine tensorrt: ONNX Runtime could not load TensorRT; run {_PACKAGES}, and let "
        "LD_LIBRARY_PATH name the folder of libnvinfer"
    ) from failure


def may_be_half(network: nn.Module, precision: torch.dtype) -> bool:
    """Whether a network may be computed in 16 bits: the positions of D-Net's flow need fp32."""
    return precision != torch.float32 and not isinstance(network, DNet)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs of an exported network for one face, by name."""
    inputs = example_inputs(network, 1)
    return {f"input{k}": tuple(part.shape[1:]) for k, part in enumerate(inputs)}


def choose_providers(
    model: Path, shapes: Mapping[str, tuple[int, ...]], most_faces: int, half: bool
) -> list[Provider]:
    """Return what ONNX Runtime is to compute a model with, best first.

    Args:
        model: ONNX file; engines are kept by its hash.
        shapes: of ``shapes_of``.
        most_faces: largest batch; smaller ones fit, too.
        half: whether fp16 is allowed.

    Raises:
        OSError: the folder for engines cannot be made.
    """
    folder = user_cache() / "retalking" / "tensorrt" / sha256_of(model)[:32]
    make_private(folder)
    options: dict[str, Any] = {
        "trt_fp16_enable": half,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
    }
    for which, faces in (("min", 1), ("opt", most_faces), ("max", most_faces)):
        sizes = (f"{name}:{'x'.join(map(str, (faces, *shape)))}" for name, shape in shapes.items())
        options[f"trt_profile_{which}_shapes"] = ",".join(sizes)
    return [(PROVIDER, options), *_AFTER_IT]


def onnx_to_tensorrt(
    source: Path, path: Path, shapes: Mapping[str, tuple[int, ...]], most_faces: int, half: bool
) -> None:
    """Build TensorRT's engine of an ONNX file, for the GPU of this machine. Atomic.

    The arguments are those of ``choose_providers``.

    Raises:
        ConfigError: see ``require_builder``, or TensorRT cannot build it.
        MediaError: the file cannot be written.
    """
    trt = require_builder()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        raise ConfigError(f"{source}: TensorRT cannot read it: {parser.get_error(0)}")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    if half:
        config.set_flag(trt.BuilderFlag.FP16)
    for name, shape in shapes.items():
        profile.set_shape(name, (1, *shape), (most_faces, *shape), (most_faces, *shape))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ConfigError(f"{source}: TensorRT built no engine of it; what it said stands above")
    with replacing(path) as partial:
        partial.write_bytes(bytes(engine))
