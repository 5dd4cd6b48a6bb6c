"""The formula reproduces the inputs and weights behind the golden numbers to the last bit."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import torch

from tests.rounding import DOUBLE

NETWORKS = sorted(path.stem for path in (golden.DATA / "manifests").glob("*.json"))


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_have_the_stored_fingerprints(name: str) -> None:
    for case in golden.network_cases(name):
        assert {key: golden.digest(value) for key, value in case.inputs.items()} == (
            case.input_sha256
        )


# The rules for spectral norm (LNet) and equalised layers (GPEN) have no smaller representative.
@pytest.mark.parametrize("name", ["DNet", "GANimation", "face3d", "GPEN", "LNet"])
def test_weights_have_the_stored_sum(name: str) -> None:
    case = golden.network_cases(name)[0]
    state = golden.filled_state_dict(name, overrides=case.overrides)
    total = sum(float(v.double().abs().sum()) for v in state.values() if v.is_floating_point())
    assert total == pytest.approx(case.weights_abs_sum, rel=DOUBLE)


def test_checkpoint_wears_wrapper_and_prefix() -> None:
    checkpoint = golden.official_checkpoint("ENet")
    assert list(checkpoint) == ["state_dict"]
    assert all(key.startswith("module.") for key in checkpoint["state_dict"])


def test_wave_equals_the_stored_head() -> None:
    case = golden.function_case("fn_mel")
    head = case.inputs["wave_head"]
    # Sines may differ in their last bit.
    np.testing.assert_allclose(case.inputs["wave"][: len(head)], head, atol=1e-6)


def test_comparison_sees_shape_value_and_absence() -> None:
    case = golden.network_cases("face3d")[0]
    exact = torch.from_numpy(case.expected["coeff"].values)
    golden.assert_matches({"coeff": exact}, case)
    step = 2 * golden.MAX_DEVIATION * max(case.expected["coeff"].std or 0.0, golden.STD_FLOOR)
    with pytest.raises(AssertionError, match="max deviation"):
        golden.assert_matches({"coeff": exact + step}, case)
    with pytest.raises(AssertionError, match="shape"):
        golden.assert_matches({"coeff": exact[:, :-1]}, case)
    with pytest.raises(AssertionError, match="coeff: absent"):
        golden.assert_matches({}, case)
    with pytest.raises(AssertionError, match="not a golden output"):
        golden.assert_matches({"coeff": exact, "other": exact}, case)
    with pytest.raises(AssertionError, match="not finite"):
        golden.assert_matches({"coeff": exact * torch.nan}, case)
