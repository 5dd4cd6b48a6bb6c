"""Networks as files for other programs: ONNX, and OpenVINO's own format.

A file holds one network in fp32, with the sizes of pictures that the network is used at and any
number of faces in a batch. Fourier transforms are products with small matrices in it
(``models/blocks/fourier.py``), which every program has.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from retalking.coefficients.windows import WINDOW_FRAMES
from retalking.errors import ConfigError
from retalking.face.crops import STABILISER_PX
from retalking.files import replacing
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import ParseNet

_OPSET = 17
_PARSED_PX = 512
_LNET_PX = 96
_MEL = (1, 80, 16)


def example_inputs(network: nn.Module, num_faces: int) -> tuple[Tensor, ...]:
    """Return random inputs of the sizes that a network is used at, in the ranges it expects.

    Args:
        network: L-Net, E-Net (with L-Net inside), D-Net, GPEN, GFPGAN or ParseNet.
        num_faces: size of the batch.

    Raises:
        ConfigError: another kind of network.
    """
    random = torch.Generator().manual_seed(0)

    def picture(channels: int, side_px: int, low: float = 0.0) -> Tensor:
        size = (num_faces, channels, side_px, side_px)
        return torch.rand(size, generator=random) * (1 - low) + low

    mel = torch.rand((num_faces, *_MEL), generator=random) * 8 - 4
    if isinstance(network, LNet):
        return mel, picture(6, _LNET_PX)
    if isinstance(network, ENet):
        side = network.config.size_px
        return mel, picture(3, side), picture(3, side)
    if isinstance(network, DNet):
        size = (num_faces, network.config.coefficient_channels, WINDOW_FRAMES)
        return picture(3, STABILISER_PX, -1.0), torch.randn(size, generator=random)
    if isinstance(network, GPEN | GFPGAN):
        return (picture(3, network.config.size_px, -1.0),)
    if isinstance(network, ParseNet):
        return (picture(3, _PARSED_PX, -1.0),)
    raise ConfigError(f"export: got a {type(network).__name__}, which has no exported form")


def export_onnx(network: nn.Module, path: Path) -> None:
    """Write a network that is ready for inference as an ONNX file. Atomic.

    Inputs are called ``input0``, ``input1`` ..., outputs ``output0`` ..., in the order of
    ``forward``; their first axis is free.

    Raises:
        ConfigError: a kind of network that has no exported form, or ONNX is not installed.
        MediaError: the file cannot be written.
    """
    device = next(network.parameters()).device
    inputs = tuple(part.to(device) for part in example_inputs(network, 2))
    with torch.no_grad():
        results = network(*inputs)
    outputs = results if isinstance(results, tuple) else (results,)
    names = [f"input{k}" for k in range(len(inputs))]
    made = [f"output{k}" for k in range(len(outputs))]
    with replacing(path) as partial, warnings.catch_warnings(), torch.no_grad():
        # The tracer says of every size that it becomes a constant, which is what is wanted here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            inputs,
            str(partial),
            dynamo=False,  # the other exporter needs packages of its own
            opset_version=_OPSET,
            input_names=names,
            output_names=made,
            dynamic_axes={name: {0: "faces"} for name in (*names, *made)},
        )


def onnx_to_openvino(source: Path, path: Path) -> None:
    """Turn an ONNX file into OpenVINO's ``.xml``, with a ``.bin`` beside it, in fp32.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    openvino = require("openvino")
    openvino.save_model(openvino.Core().read_model(source), path, compress_to_fp16=False)


def require(package: str) -> Any:
    """Import a package of ``requirements-engines.txt``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{package} is not installed; run .venv/bin/pip install -r requirements-engines.txt, "
            "or use --engine torch"
        ) from error
