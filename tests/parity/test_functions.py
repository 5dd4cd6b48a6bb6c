"""The pure functions of the pipeline give the official code's numbers."""

from __future__ import annotations

import adapter_functions
import numpy as np
import pytest
from golden import assert_matches, function_case

from tests.rounding import SINGLE

FUNCTIONS = [name for name in vars(adapter_functions) if name.startswith("fn_")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_golden_numbers(name: str) -> None:
    case = function_case(name)
    assert_matches(getattr(adapter_functions, name)(case.inputs), case)


def test_log_mel_agrees_with_the_official_one_to_float_precision() -> None:
    case = function_case("fn_mel")
    outputs = adapter_functions.fn_mel(case.inputs)
    for name in ("mel", "mel_short"):
        np.testing.assert_allclose(outputs[name], case.expected[name].values, atol=SINGLE)


def test_blend_is_the_official_one_to_the_last_bit() -> None:
    case = function_case("fn_blend")
    for name, got in adapter_functions.fn_blend(case.inputs).items():
        expected = case.expected[name]
        np.testing.assert_array_equal(
            got[:: expected.strides[0], :: expected.strides[1]], expected.values
        )
