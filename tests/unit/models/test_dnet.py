"""D-Net at small widths: shapes, flow, coefficients, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from models import weights
from models.blocks.warping import flow_to_deformation, warp
from models.dnet import DNet
from retalking.errors import ConfigError
from tests.unit.models.networks import DNET, dnet_inputs


def test_dnet_shapes_and_warp_only() -> None:
    network, inputs = DNet(DNET).eval(), dnet_inputs()
    with torch.inference_mode():
        full, first_stage = network(*inputs), network(*inputs, warp_only=True)
    assert full.descriptor.shape == (2, 16)
    assert full.flow_px.shape == (2, 2, 16, 16)
    assert full.edited.shape == full.warped.shape == (2, 3, 64, 64)
    assert full.edited.abs().max() <= 1
    assert first_stage.edited is None
    torch.testing.assert_close(first_stage.warped, full.warped)


def test_dnet_first_convolution_counts_only_when_chained() -> None:
    inputs = dnet_inputs()
    for chained in (False, True):
        network = DNet(dataclasses.replace(DNET, chained_blocks=chained)).eval()
        with torch.no_grad():
            before = network(*inputs).edited
            network.editing_net.decoder.get_submodule("res2.res0").conv1.weight.mul_(-3)
            assert torch.equal(before, network(*inputs).edited) != chained


def test_dnet_measures_its_coefficients_and_stores_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = DNet(dataclasses.replace(DNET, standardised=True)).eval()
    samples = torch.randn(500, 73) * 3 + 100
    samples[:, 5] = 7  # never varies
    net.mapping_net.measure(samples)
    windows = samples[:2, :, None].expand(-1, -1, 27)
    plain = DNet(DNET).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    scaled = (windows - samples.mean(0)[:, None]) / samples.std(0).clamp(min=1e-3)[:, None]
    scaled[:, 5] = 0
    torch.testing.assert_close(
        net.mapping_net(windows), plain.mapping_net(scaled), rtol=1e-3, atol=1e-3
    )
    weights.save(tmp_path / "dnet.safetensors", net)
    again = weights.load(tmp_path / "dnet.safetensors", DNet).eval()
    torch.testing.assert_close(again.mapping_net(windows), net.mapping_net(windows))


def test_dnet_edits_the_warped_picture_if_asked() -> None:
    net = DNet(dataclasses.replace(DNET, edits_warped=True)).eval()
    for parameter in net.editing_net.decoder.final.parameters():
        nn.init.zeros_(parameter)
    made = net(*dnet_inputs())
    torch.testing.assert_close(made.edited, made.warped)


def test_dnet_moves_the_detail_of_a_larger_picture() -> None:
    torch.manual_seed(0)
    net = DNet(dataclasses.replace(DNET, edits_warped=True)).eval()
    for parameter in net.editing_net.decoder.final.parameters():
        nn.init.zeros_(parameter)
    image, windows = torch.rand(2, 3, 128, 128) * 2 - 1, torch.randn(2, 73, 27)
    made = net(nn.functional.avg_pool2d(image, 2), windows)
    expected = warp(image, flow_to_deformation(made.flow_px))
    torch.testing.assert_close(net.edit_fine(image, windows), expected)
    with pytest.raises(ConfigError, match="edits_warped is off"):
        DNet(DNET).edit_fine(image, windows)


def test_dnet_refuses_a_short_window_and_an_odd_size() -> None:
    network = DNet(DNET)
    image, coefficients = dnet_inputs()
    with pytest.raises(ConfigError, match=r"window of 24 frames, expected at least 25"):
        network(image, coefficients[:, :, :24])
    with pytest.raises(ConfigError, match=r"60x64 px, expected multiples of 32"):
        network(image[:, :, :60], coefficients)


def test_zero_flow_shrinks_as_upstream_does_and_far_flow_is_black() -> None:
    image = torch.rand(1, 3, 32, 32) + 1
    still = flow_to_deformation(torch.zeros(1, 2, 8, 8))
    assert still[0, 0, 0].tolist() == [-1, -1]
    assert still[0, -1, -1].tolist() == [1, 1]
    assert not torch.allclose(warp(image, still), image)
    far = flow_to_deformation(torch.full((1, 2, 8, 8), 100.0))
    assert warp(image, far).abs().max() == 0


def test_flow_moves_along_x_then_y_in_pixels_of_its_grid() -> None:
    flow_px = torch.zeros(1, 2, 5, 9)
    flow_px[:, 0], flow_px[:, 1] = 2, -1
    moved = flow_to_deformation(flow_px) - flow_to_deformation(torch.zeros_like(flow_px))
    torch.testing.assert_close(moved[0, 2, 3], torch.tensor([2 * 2 / 8, -1 * 2 / 4]))
