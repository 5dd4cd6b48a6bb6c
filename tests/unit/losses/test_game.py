"""How strong the game is, and that it is added as a sum would be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from losses.adversarial import join_game


def parts(scale: float) -> tuple[nn.Sequential, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 3, 1))
    output = net(torch.rand(2, 3, 8, 8))
    others = (output - 0.3).abs().mean()
    game = scale * output.square().mean().sqrt()
    return net, output, others, game


def gradients(net: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(net.parameters()), retain_graph=True))


@pytest.mark.parametrize("weight", [0.0, 0.7, 100.0])
def test_without_a_bound_it_is_the_weighted_sum(weight: float) -> None:
    net, output, others, game = parts(2.0)
    expected = gradients(net, others + weight * game)
    net, output, others, game = parts(2.0)
    joined, log = join_game(others, game, output, [*net[2].parameters()], weight, None)
    for found, wanted in zip(gradients(net, joined), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert float(log["adversarial"]) == pytest.approx(game.item())
    assert float(log["adversarial_weight"]) == pytest.approx(weight)


def test_a_strong_game_is_bounded_by_the_gradient_of_the_last_layer() -> None:
    """The paper's weight of 100 lets an unbounded critic drown everything else."""
    net, output, others, game = parts(30.0)
    layer = [*net[2].parameters()]
    pull_of_others, pull_of_game = (
        torch.cat([g.flatten() for g in torch.autograd.grad(part, layer, retain_graph=True)]).norm()
        for part in (others, game)
    )
    _, log = join_game(others, game, output, layer, 100.0, 0.5)
    assert float(log["adversarial_share"]) == pytest.approx(0.5, rel=1e-5)
    expected = 0.5 * pull_of_others / pull_of_game
    assert float(log["adversarial_weight"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_weak_game_keeps_its_weight() -> None:
    net, output, others, game = parts(1e-4)
    _, log = join_game(others, game, output, [*net[2].parameters()], 0.1, 0.5)
    assert float(log["adversarial_weight"]) == pytest.approx(0.1)
    assert float(log["adversarial_share"]) < 0.5
