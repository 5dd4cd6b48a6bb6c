"""A window of a picture is what the whole picture shows there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from third_party.gfpgan import GFPGAN
from third_party.gfpgan.network import GFPGANConfig
from third_party.gpen import GPEN, GPENConfig
from third_party.parsenet import ParseNet, ParseNetConfig
from third_party.windows import Window

SIDE_PX = 256
WINDOWS = [
    Window(112, 64, 256, 192, SIDE_PX, 4),  # down to the border
    Window(64, 48, 192, 192, SIDE_PX, 3),
]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "GFPGAN": lambda: GFPGAN(GFPGANConfig(size_px=SIDE_PX, narrow=0.125)),
    "GPEN": lambda: GPEN(GPENConfig(size_px=SIDE_PX, narrow=0.125)),
    "ParseNet": lambda: ParseNet(ParseNetConfig(base_channels=8, max_channels=64, body_depth=1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_window_differs_by_rounding_alone(name: str) -> None:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        network = NETWORKS[name]().double().eval()
        for parameter in network.parameters():  # what starts at zero would hide a mistake
            if not parameter.any():
                parameter.normal_(0, 0.1)
        faces = torch.rand(1, 3, SIDE_PX, SIDE_PX, dtype=torch.float64) * 2 - 1
        whole = network(faces)
        for window in WINDOWS:
            part = network(faces, window=window)
            # One pixel of the margin too few costs GFPGAN 5e-5; measured: 4e-16.
            torch.testing.assert_close(part, window.of(whole), rtol=0, atol=1e-12)


def test_points_are_inside_or_beyond_the_picture() -> None:
    window = WINDOWS[0]
    inside, below = [(64, 112), (191, 255)], [(64, 112), (191, 400)]
    left, above = [(63, 112), (80, 120)], [(64, 111), (80, 120)]
    points = np.array([inside, below, left, above], np.float64)
    np.testing.assert_array_equal(window.holds(points), [True, True, False, False])


def test_at_half_the_size_it_is_the_same_part() -> None:
    assert WINDOWS[0].scaled(128) == Window(56, 32, 128, 96, 128, 4)
