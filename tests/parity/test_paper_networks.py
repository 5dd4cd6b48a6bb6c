"""D-Net, L-Net and E-Net equal the official networks: keys, loading and outputs.

The largest arrays are built once: L-Net is tested inside E-Net, where the official chain runs it.
"""

from __future__ import annotations

import golden
import pytest
import torch
from adapter_networks import fn_flow
from torch import nn

from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.weights import load_official

TOLERANCE = 8e-4
"""Share of the standard deviation. A wrong epsilon in a norm costs 1e-3 to 3e-3. Of rounding,
L-Net's golden output has 1.3e-4, our float32 2e-4 with AVX-512, 4.4e-4 with oneDNN held to AVX2."""


@pytest.fixture(scope="module")
def dnet() -> DNet:
    network = DNet().eval()
    load_official(network, "DNet", golden.official_checkpoint("DNet"))
    return network


@pytest.fixture(scope="module")
def enet() -> ENet:
    with torch.device("meta"):  # random initialisation would take longer than the test
        network = ENet()
    network = network.to_empty(device="cpu").eval()
    lnet_checkpoint = golden.official_checkpoint("LNet")
    load_official(network, "ENet", golden.official_checkpoint("ENet"), lnet_checkpoint)
    return network


@pytest.mark.parametrize(("name", "kind"), [("DNet", DNet), ("LNet", LNet), ("ENet", ENet)])
def test_state_dict_has_the_keys_and_shapes_of_the_manifest(
    name: str, kind: type[nn.Module]
) -> None:
    with torch.device("meta"):
        state = kind().state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    own = {key: shape for key, shape in shapes.items() if not key.startswith("low_res.")}
    assert own == golden.manifest_shapes(name)
    if name == "ENet":  # the file leaves out the L-Net inside
        inner = {k.removeprefix("low_res."): v for k, v in shapes.items() if k not in own}
        assert inner == golden.manifest_shapes("LNet")


@pytest.mark.parametrize("name", ["DNet", "LNet", "ENet"])
def test_buffers_and_parameters_are_those_of_the_manifest(name: str) -> None:
    with torch.device("meta"):
        network = {"DNet": DNet, "LNet": LNet, "ENet": ENet}[name]()
    parameters = {key for key, _ in network.named_parameters() if not key.startswith("low_res.")}
    kinds = {key: kind for key, _, _, kind in golden.read_manifest(name)["keys"]}
    assert parameters == {key for key, kind in kinds.items() if kind == "param"}


@pytest.mark.parametrize("index", [0, 1], ids=["27 frames", "26 frames"])
def test_dnet_matches(dnet: DNet, index: int) -> None:
    case = golden.network_cases("DNet")[index]
    inputs = case.tensors()
    with torch.inference_mode():
        out = dnet(inputs["image"], inputs["coeff"])
    assert out.edited is not None
    golden.assert_matches(
        {
            "descriptor": out.descriptor[:, :, None],
            "flow_field": out.flow_px,
            "warp_image": out.warped,
            "fake_image": out.edited,
        },
        case,
        TOLERANCE,
    )


def test_flow_matches() -> None:
    case = golden.function_case("fn_flow")
    golden.assert_matches(fn_flow(case.inputs), case, TOLERANCE)


@pytest.mark.parametrize("index", [0, 1], ids=["4d", "5d"])
def test_lnet_matches(enet: ENet, index: int) -> None:
    case = golden.network_cases("LNet")[index]
    inputs = case.tensors()
    with torch.inference_mode():
        out = enet.low_res(inputs["mel"], inputs["face"])
    golden.assert_matches({"out": out}, case, TOLERANCE)


@pytest.mark.parametrize("index", [0, 1], ids=["zero noise", "given noise"])
def test_enet_matches(enet: ENet, index: int) -> None:
    case = golden.network_cases("ENet")[index]
    inputs = case.tensors()
    noise = [inputs[key] for key in inputs if key.startswith("noise")] or "zero"
    # The zero-noise case was recorded with noise strengths of 0; here the strengths stay.
    with torch.inference_mode():
        out = enet(inputs["mel"], inputs["face"], inputs["ref"], noise)
    outputs = {"out": out.face, "low_res": out.low_res}
    golden.assert_matches({key: outputs[key] for key in case.expected}, case, TOLERANCE)


def test_enet_matches_on_video(enet: ENet) -> None:
    case = golden.network_cases("ENet")[2]
    inputs = case.tensors()
    with torch.inference_mode():
        out = enet(inputs["mel"], inputs["face"], inputs["ref"])
    # Upstream enlarges the small face to the output size, but in this form only.
    enlarged = nn.functional.interpolate(out.low_res, scale_factor=(1, 4, 4))
    golden.assert_matches({"out": out.face, "low_res": enlarged}, case, TOLERANCE)
