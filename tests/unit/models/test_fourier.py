"""Products with small matrices give what FFT gives, so that traced networks may use them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.blocks import fourier
from models.blocks.ffc import FourierUnit


@pytest.mark.parametrize("size", [(12, 12), (24, 24), (96, 96), (7, 10), (10, 7)])
def test_products_equal_the_fft(size: tuple[int, int]) -> None:
    x = torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    planes = fourier.to_spectrum(x)
    torch.testing.assert_close(fourier._products_to_spectrum(x), planes, atol=1e-12, rtol=0)
    # A convolution leaves a spectrum that no real picture has; both drop the same part of it.
    noise = torch.randn(planes.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    for spectrum in (planes, noise):
        back = fourier._products_from_spectrum(spectrum, size)
        torch.testing.assert_close(back, fourier.from_spectrum(spectrum, size), atol=1e-12, rtol=0)
    torch.testing.assert_close(fourier.from_spectrum(planes, size), x, atol=1e-12, rtol=0)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_traced_unit_holds_no_fft() -> None:
    unit = FourierUnit(4).eval()
    nn.init.normal_(unit.conv_layer.weight)
    x = torch.randn(2, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        traced = torch.jit.trace(unit, x, check_trace=False)
        names = {node.kind() for node in traced.inlined_graph.nodes()}
        assert "aten::matmul" in names
        assert not {name for name in names if "fft" in name}
        torch.testing.assert_close(traced(x[:1]), unit(x[:1]), atol=1e-5, rtol=1e-5)
