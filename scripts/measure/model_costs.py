"""Print parameters and arithmetic of every network as a Markdown table.

    python -m scripts.measure.model_costs

Nothing is computed: PyTorch's fake tensors know shapes only, so the table takes seconds and no
memory. Convolutions, matrix products and attention are counted, one
multiply-add as two FLOP. Not counted: norms, activations, resizing, warping, the once-per-load
folding of spectral norm, and L-Net's Fourier transforms (at 2.5 N log2 N each about 0.2 GFLOP).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from retalking.script import run_entry_point

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from models.blocks.spectral_norm import fold_spectral_norm
from models.discriminator import PatchDiscriminator
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.syncnet import SyncExpert, SyncNet
from third_party.arcface.network import ArcFace
from third_party.face3d.network import Face3D
from third_party.ganimation.network import GANimation
from third_party.gfpgan.network import GFPGAN
from third_party.gpen.network import GPEN
from third_party.parsenet.network import ParseNet
from third_party.retinaface.network import RetinaFace
from third_party.s3fd.network import S3FD

MEL = (1, 1, 80, 16)


@dataclass(frozen=True)
class Workload:
    """A network with the inputs of one frame.

    Attributes:
        name: row title.
        network: builds it with its published sizes.
        shapes: shape of each input; a batch of one.
        note: what the row is for.
        method: the method to call where it is not ``forward``.
        options: what it is given beside the inputs.
    """

    name: str
    network: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    note: str
    method: str = "forward"
    options: Mapping[str, object] = field(default_factory=dict)


WORKLOADS = (
    Workload("D-Net", DNet, ((1, 3, 256, 256), (1, 73, 27)), "256 px, 27 coefficient rows"),
    Workload("L-Net", LNet, (MEL, (1, 6, 96, 96)), "96 px"),
    Workload(
        "E-Net with L-Net",
        ENet,
        (MEL, (1, 3, 384, 384), (1, 3, 384, 384)),
        "384 px",
    ),
    Workload("lip-sync expert", SyncExpert, (MEL, (1, 15, 48, 96)), "5 frames; training"),
    Workload(
        "SyncNet, lips", SyncNet, ((1, 3, 5, 224, 224),), "5 frames; LSE-D, LSE-C", "embed_lips"
    ),
    Workload("SyncNet, speech", SyncNet, ((1, 1, 13, 20),), "0.2 s; LSE-D, LSE-C", "embed_audio"),
    Workload("discriminator", PatchDiscriminator, ((1, 3, 384, 384),), "384 px; training"),
    Workload("Deep3DFaceRecon", Face3D, ((1, 3, 224, 224),), "224 px"),
    Workload("S3FD", S3FD, ((1, 3, 720, 1280),), "720p"),
    Workload("RetinaFace-R50", RetinaFace, ((1, 3, 720, 1280),), "720p"),
    Workload("ParseNet", ParseNet, ((1, 3, 512, 512),), "512 px"),
    Workload("GPEN-BFR-512", GPEN, ((1, 3, 512, 512),), "512 px"),
    Workload("GFPGAN v1.3", GFPGAN, ((1, 3, 512, 512),), "512 px"),
    Workload("GANimation", GANimation, ((1, 3, 128, 128), (1, 17)), "128 px; --up_face"),
    Workload("ArcFace-R50", ArcFace, ((1, 3, 112, 112),), "112 px; training"),
)


def measure(workload: Workload) -> tuple[int, int]:
    """Count a network's parameters and the FLOP of one frame."""
    with FakeTensorMode(), torch.no_grad():
        network = workload.network().eval().requires_grad_(False)
        num_parameters = sum(parameter.numel() for parameter in network.parameters())
        # Folded, as inference runs it; else the norm's matrix products count in every frame.
        run = getattr(fold_spectral_norm(network), workload.method)
        with FlopCounterMode(display=False) as counter:
            run(*(torch.empty(shape) for shape in workload.shapes), **workload.options)
    return num_parameters, counter.get_total_flops()


def main(workloads: Sequence[Workload] = WORKLOADS) -> None:
    """Print the table."""
    print("| network | parameters (M) | GFLOP per frame | input |")
    print("|---|---:|---:|---|")
    for workload in workloads:
        num_parameters, flops = measure(workload)
        columns = f"{num_parameters / 1e6:.1f} | {flops / 1e9:.1f} | {workload.note}"
        print(f"| {workload.name} | {columns} |")
    print("\nFLOP = 2 x multiply-adds of convolutions, matrix products and attention.")
    print("Fourier transforms, norms, activations and resizing are not counted.")


if __name__ == "__main__":
    run_entry_point(main)
