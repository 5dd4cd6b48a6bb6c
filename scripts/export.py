"""Write the networks of the mouth as files for other programs, and check them against PyTorch.

    python scripts/export.py --to onnx --folder exported --profile small
    python scripts/export.py --to openvino --folder exported --profile official --checkpoints DIR
    python scripts/export.py --to tensorrt --folder exported --profile official --checkpoints DIR

L-Net, E-Net with L-Net inside, D-Net, restorers and the parser, as far as the profile has them.
Each file is run on a batch of three, another size than it was written with, and the table says how
far its results are from those of PyTorch, in standard deviations. Needs requirements-engines.txt.
TensorRT's engines (package tensorrt, an NVIDIA GPU) are for the GPU they are built on and batches
of 1 to 16 faces, in fp16 but for D-Net, or all in fp32 with --precision fp32; what is checked is
the ONNX file beside each.
Unknown flags are those of inference.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

import torch
from torch import nn

from models.enet import ENet
from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.inference.cli import build_parser, configure
from retalking.networks.engines.export import (
    example_inputs,
    export_onnx,
    onnx_to_openvino,
)
from retalking.networks.engines.run import load_onnx, load_openvino, require_engine
from retalking.networks.engines.tensorrt import (
    may_be_half,
    onnx_to_tensorrt,
    require_builder,
    shapes_of,
)
from retalking.networks.load import Parts, load_parts

_CHECKED_FACES = 3
_BESIDE = (".bin", ".engine")  # of OpenVINO, and of TensorRT
_MOST_FACES = 16
"""In a batch of a TensorRT engine; what a GPU gets at a time (``retalking.networks.runner``)."""


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, print the table and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", choices=("onnx", "openvino", "tensorrt"), required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the files go")
    own, rest = parser.parse_known_args(arguments)
    require_engine("onnx" if own.to == "tensorrt" else own.to)
    if own.to == "tensorrt":
        require_builder()
    options = build_parser().parse_args([*rest, "--face", "-", "--audio", "-"])
    asked = getattr(options, "precision", None)
    precision = torch.float32 if asked == "fp32" else torch.float16
    for name, value in (("engine", "torch"), ("precision", "fp32"), ("device", "cpu")):
        setattr(options, name, value)
    networks = networks_of(load_parts(configure(options)))
    if not networks:
        raise ConfigError("the profile has no networks that paint; use --profile small or official")
    own.folder.mkdir(parents=True, exist_ok=True)
    print("| network | file | MB | mean deviation | largest |\n|---|---|---:|---:|---:|")
    for name, network in networks.items():
        path = export(network, own.folder / name, own.to, precision)
        mean, most = deviation(network, path)
        files = [path, *(file for file in map(path.with_suffix, _BESIDE) if file.is_file())]
        size = sum(file.stat().st_size for file in files) / 2**20
        print(f"| {name} | {path} | {size:.1f} | {mean:.1e} | {most:.1e} |", flush=True)
    return 0


def networks_of(parts: Parts) -> dict[str, nn.Module]:
    """Return the networks that can be exported, by the name of their file."""
    enet = parts.enet
    found: dict[str, nn.Module | None] = {
        "dnet": parts.dnet,
        "lnet": enet.low_res if isinstance(enet, ENet) else enet,
        "enet": enet if isinstance(enet, ENet) else None,
        "parser": parts.parser,
    }
    for restorer in (parts.reference_enhancer, parts.restorer):
        if restorer is not None:
            found[type(restorer).__name__.lower()] = restorer
    return {name: network for name, network in found.items() if network is not None}


def export(network: nn.Module, stem: Path, kind: str, precision: torch.dtype) -> Path:
    """Write one network and return the file that can be checked here; precision of TensorRT's."""
    path = stem.with_suffix(".onnx")
    export_onnx(network, path)
    if kind == "tensorrt":
        half = may_be_half(network, precision)
        onnx_to_tensorrt(path, stem.with_suffix(".engine"), shapes_of(network), _MOST_FACES, half)
    if kind != "openvino":
        return path
    onnx_to_openvino(path, stem.with_suffix(".xml"))
    path.unlink()
    return stem.with_suffix(".xml")


def deviation(network: nn.Module, path: Path) -> tuple[float, float]:
    """Mean and largest deviation of a file's results, in standard deviations of PyTorch's."""
    compute = load_onnx(path) if path.suffix == ".onnx" else load_openvino(path)
    inputs = example_inputs(network, _CHECKED_FACES)
    with torch.inference_mode():
        results = network(*inputs)
    wanted = results if isinstance(results, tuple) else (results,)
    made = compute([part.numpy() for part in inputs])
    errors = [
        (torch.from_numpy(found) - want).abs() / want.std().clamp_min(1e-9)
        for found, want in zip(made, wanted, strict=True)
    ]
    return max(float(e.mean()) for e in errors), max(float(e.max()) for e in errors)


if __name__ == "__main__":
    run_entry_point(main)
