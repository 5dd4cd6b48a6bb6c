"""The cost table counts what it says."""

from __future__ import annotations

import pytest
from torch import nn

from models.blocks.spectral_norm import SpectralNormConv2d
from scripts.measure.model_costs import WORKLOADS, Workload, main, measure


@pytest.mark.parametrize("conv", [nn.Conv2d, SpectralNormConv2d])
def test_a_convolution_costs_two_flop_per_multiply_add(conv: type[nn.Module]) -> None:
    workload = Workload("one", lambda: nn.Sequential(conv(3, 5, 3, padding=1)), ((1, 3, 8, 8),), "")
    assert measure(workload) == (5 * 3 * 9 + 5, 2 * 8 * 8 * 5 * 3 * 9)


def test_table_has_a_row_per_network(capsys: pytest.CaptureFixture[str]) -> None:
    main(WORKLOADS[:1])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| D-Net | 22.5 | 88.0 | 256 px, 27 coefficient rows |"
