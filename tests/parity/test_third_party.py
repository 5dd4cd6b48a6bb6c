"""Our re-implementations of the public networks give the numbers of the official code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adapter_third_party as adapter
import golden
import numpy as np
import pytest
import torch
from torch import nn

from models.weights import load_official
from retalking.errors import WeightsError
from third_party.face3d import Face3D
from third_party.ganimation import GANimation
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import ParseNet
from third_party.retinaface import RetinaFace
from third_party.s3fd import S3FD

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "face3d": Face3D,
    "GANimation": GANimation,
    "GFPGAN": GFPGAN,
    "GPEN": GPEN,
    "ParseNet": ParseNet,
    "RetinaFace": RetinaFace,
    "S3FD": S3FD,
}
MAX_DEVIATION = 1e-4  # of the deviation; the measured ones stay below 2e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_state_dict_is_that_of_the_manifest(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name]()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes == golden.manifest_shapes(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_official_weights_give_the_golden_outputs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "MAX_DEVIATION", MAX_DEVIATION)
    run = getattr(adapter, name)(golden.official_checkpoint(name))
    for case in golden.network_cases(name):
        outputs = run(case.tensors())
        assert outputs.keys() == case.expected.keys()
        golden.assert_matches(outputs, case)


@pytest.mark.parametrize("name", ["fn_autable", "fn_retinapost"])
def test_functions_give_the_golden_outputs(name: str) -> None:
    case = golden.function_case(name)
    golden.assert_matches(getattr(adapter, name)(case.inputs), case)


def test_fir_filters_of_a_fresh_gpen_are_those_of_the_checkpoint() -> None:
    constants: dict[str, Any] = golden.read_manifest("GPEN")["const"]
    buffers = dict(GPEN().named_buffers())
    assert buffers.keys() == constants.keys()
    for key, value in constants.items():
        np.testing.assert_array_equal(buffers[key].numpy(), np.array(value, np.float32))


@pytest.mark.parametrize("name", ["GANimation", "S3FD"])
def test_incomplete_official_file_is_refused(name: str) -> None:
    checkpoint = golden.official_checkpoint(name)
    checkpoint.popitem()
    with pytest.raises(WeightsError, match="missing"):
        load_official(NETWORKS[name](), name, checkpoint)
