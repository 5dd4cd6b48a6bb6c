from __future__ import annotations

import pytest
import torch

from models.mouth_inside import MouthInsideConfig, MouthInsideNet
from retalking.errors import ConfigError


def places(count: int = 40) -> torch.Tensor:
    torch.manual_seed(0)
    right, below = torch.rand(count) - 0.5, 0.2 * torch.rand(count)
    rest = [below + 0.1, torch.full((count,), 0.3), torch.full((count,), 0.9)]
    return torch.stack([right, below, *rest], dim=1)


def test_colours_are_positive_and_the_same_on_both_sides() -> None:
    network = MouthInsideNet(MouthInsideConfig(channels=16)).eval()
    skin = torch.ones(40, 3)
    with torch.no_grad():
        colors = network(places(), skin)
        mirrored = network(places() * torch.tensor([-1.0, 1, 1, 1, 1]), skin)
    assert colors.shape == (40, 3)
    assert colors.min() > 0
    torch.testing.assert_close(colors, mirrored)


def test_the_code_that_is_kept_is_the_one_that_paints() -> None:
    config = MouthInsideConfig(channels=16, person_channels=3, moment_channels=2)
    network = MouthInsideNet(config).eval()
    code, skin = torch.tensor([1.0, -2, 3]), torch.ones(40, 3)
    with torch.no_grad():
        told = network(places(), skin, torch.cat([code, torch.zeros(2)]).expand(40, -1))
        assert not torch.allclose(network(places(), skin), told)
        network.person.copy_(code)
        torch.testing.assert_close(network(places(), skin), told)


def test_sizes_are_positive() -> None:
    with pytest.raises(ConfigError, match="channels"):
        MouthInsideConfig(channels=0)
