"""Doubling and convolving in one gives what one after the other gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from third_party.doubling import (
    convolve_doubled,
    convolve_doubled_bilinearly,
    double_bilinearly,
)


def random_case(in_channels: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = ((2, in_channels, height, width), (5, in_channels, 3, 3), (5,))
    x, weight, bias = (
        torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes
    )
    return x, weight, bias


def counted(call: str, *inputs: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        {"one": convolve_doubled_bilinearly, "nearest": convolve_doubled}[call](*inputs)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("reflect", [False, True])
def test_nearest_neighbour(reflect: bool) -> None:
    x, weight, bias = random_case(3, 4, 6)
    large = F.interpolate(x, scale_factor=2, mode="nearest")
    padded = F.pad(large, (1,) * 4, mode="reflect" if reflect else "constant")
    got = convolve_doubled(x, weight, bias, reflect)
    torch.testing.assert_close(got, F.conv2d(padded, weight, bias), rtol=0, atol=1e-12)


@pytest.mark.parametrize("in_channels", [3, 64])
@pytest.mark.parametrize("size", [(2, 2), (5, 4)])
def test_bilinear_up_to_the_border(in_channels: int, size: tuple[int, int]) -> None:
    x, weight, bias = random_case(in_channels, *size)
    want = F.conv2d(double_bilinearly(x), weight, bias, padding=1)
    got = convolve_doubled_bilinearly(x, weight, bias)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    assert got.shape == (2, 5, 2 * size[0], 2 * size[1])


def test_less_than_half_is_computed() -> None:
    x, weight, bias = random_case(64, 64, 64)
    plain = 2 * 9 * weight.shape[0] * weight.shape[1] * 4 * x[:, 0].numel()
    assert counted("nearest", x, weight, bias) == plain * 4 / 9
    assert counted("one", x, weight, bias) < 0.65 * plain  # the border and the filter on top
