"""The official networks give the golden outputs in other programs, too: through exported files."""

from __future__ import annotations

from collections.abc import Callable

import golden
import pytest
import torch
from torch import Tensor, nn

from models.blocks.spectral_norm import fold_spectral_norm
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.weights import load_official
from retalking.networks.engines.run import EngineName, run_with
from retalking.networks.runner import Runner
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import ParseNet

pytestmark = pytest.mark.slow

TOLERANCE = 2e-3
"""Share of the standard deviation: twice of what PyTorch is held to in test_paper_networks.py,
since two programs' rounding adds up."""

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "DNet": (DNet, 1),  # which golden case has the sizes that inference uses
    "LNet": (LNet, 0),
    "ENet": (ENet, 0),
    "GPEN": (GPEN, 0),
    "GFPGAN": (GFPGAN, 0),
    "ParseNet": (ParseNet, 0),
}


def load(name: str) -> nn.Module:
    network = NETWORKS[name][0]()
    inner = golden.official_checkpoint("LNet") if name == "ENet" else None
    load_official(network, name, golden.official_checkpoint(name), inner)
    return fold_spectral_norm(network).eval().requires_grad_(False)


def outputs_of(name: str, network: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    if name == "DNet":
        made = network(inputs["image"], inputs["coeff"])
        return {"flow_field": made.flow_px, "warp_image": made.warped, "fake_image": made.edited}
    if name == "LNet":
        return {"out": network(inputs["mel"], inputs["face"])}
    if name == "ENet":
        made = network(inputs["mel"], inputs["face"][:, :3], inputs["ref"])
        return {"out": made.face, "low_res": made.low_res}
    return {"mask" if name == "ParseNet" else "out": network(inputs["image"])}


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_gives_the_golden_outputs(
    name: str, engine: EngineName, package: str
) -> None:
    for needed in ("onnx", package):
        pytest.importorskip(needed, reason="needs requirements-engines.txt")
    network = load(name)
    run_with(engine, network, Runner(torch.device("cpu"), torch.float32, 2))
    case = golden.network_cases(name)[NETWORKS[name][1]]
    found = outputs_of(name, network, case.tensors())
    findings = {
        key: golden.find_mismatch(found[key], case.expected[key], TOLERANCE)
        for key in found
        if key in case.expected
    }
    assert case.primary is None or case.primary in findings
    assert findings
    assert not any(findings.values()), findings
