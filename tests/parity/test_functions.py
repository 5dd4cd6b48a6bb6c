"""The pure functions of the pipeline give the official code's numbers."""

from __future__ import annotations

import adapter_functions
import numpy as np
import pytest
from golden import assert_matches, function_case

from retalking.face.ffhq import ffhq_quad, quad_box

FUNCTIONS = [name for name in vars(adapter_functions) if name.startswith("fn_")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_golden_numbers(name: str) -> None:
    case = function_case(name)
    assert_matches(getattr(adapter_functions, name)(case.inputs), case)


def test_log_mel_agrees_with_the_official_one_to_float_precision() -> None:
    case = function_case("fn_mel")
    outputs = adapter_functions.fn_mel(case.inputs)
    for name in ("mel", "mel_short"):
        np.testing.assert_allclose(outputs[name], case.expected[name].values, atol=1e-6)


def test_blend_is_the_official_one_to_the_last_bit() -> None:
    case = function_case("fn_blend")
    for name, got in adapter_functions.fn_blend(case.inputs).items():
        expected = case.expected[name]
        np.testing.assert_array_equal(
            got[:: expected.strides[0], :: expected.strides[1]], expected.values
        )


@pytest.mark.parametrize("k", [0, 1, 2, 4, 5])
def test_quad_box_equals_the_official_box_where_that_has_no_fault(k: int) -> None:
    case = function_case("fn_croper")
    height, width = case.inputs["frame_hw"][k]
    x1, y1, x2, y2 = quad_box(ffhq_quad(case.inputs[f"lm68_{k}"]), width, height)
    np.testing.assert_array_equal([y1, y2, x1, x2], case.expected[f"box_{k}"].values)


def test_quad_box_keeps_the_chin_that_the_official_one_cuts_off() -> None:
    """Case 3 is a portrait frame whose lower edge upstream clips by the width."""
    case = function_case("fn_croper")
    height, width = case.inputs["frame_hw"][3]
    quad = ffhq_quad(case.inputs["lm68_3"])
    x1, y1, x2, y2 = quad_box(quad, width, height)
    official = case.expected["box_3"].values
    np.testing.assert_array_equal([y1, x1, x2], official[[0, 2, 3]])
    assert y2 > official[1]
    assert y2 == min(int(quad[:, 1].max() + 0.5), height)
