"""The table of training memory counts what autograd keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from retalking.training.update.checkpointing import checkpoint_blocks
from scripts.measure.training_memory import RECIPES, main, measure, read_sizes

SIZE = 8


def call(network: nn.Module, samples: int, frames: int) -> Tensor:
    made: Tensor = network(torch.empty(samples * frames, 3, SIZE, SIZE))
    return made


def test_what_is_kept_is_counted_once_per_storage() -> None:
    with FakeTensorMode():
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 5, 1))
        fixed, sample, _ = measure(net, call, 2, 0)
    assert fixed == 20 * (3 * 4 + 4 + 4 * 5 + 5)
    # Per frame the input and what the ReLU returns, which the second convolution keeps as well.
    assert sample == 2 * 4 * SIZE * SIZE * (3 + 4)


def test_frozen_parts_keep_nothing() -> None:
    with FakeTensorMode():
        net = nn.Sequential(nn.Conv2d(3, 4, 1).requires_grad_(False), nn.Conv2d(4, 5, 1))
        fixed, sample, _ = measure(net, call, 1, 0)
    assert fixed == 20 * (4 * 5 + 5)
    assert sample == 4 * SIZE * SIZE * 4


class Doubled(nn.Module):
    """Keeps its input for the sine, the sine for the square, and nothing of the sum."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin().square() + x


class Row(nn.Sequential):
    BLOCKS = (Doubled,)


def test_checkpointing_keeps_what_blocks_get() -> None:
    with FakeTensorMode():
        net = Row(nn.Conv2d(3, 4, 1), Doubled(), Doubled())
        _, whole, block = measure(net, call, 1, 0)
        assert checkpoint_blocks(net) == 2
        _, rest, _ = measure(net, call, 1, 0)
    plane = 4 * SIZE * SIZE
    assert whole == (3 + 2 * 8) * plane
    assert block == 8 * plane
    assert rest == (3 + 2 * 4) * plane


@pytest.mark.slow
def test_lnet_fits_a_card_of_24_gb_when_checkpointed(capsys: pytest.CaptureFixture[str]) -> None:
    main([recipe for recipe in RECIPES if recipe.name == "lnet"])
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("| lnet")]
    whole, checkpointed = (float(line.split("|")[column]) for column in (5, 7))
    assert whole > 24
    assert checkpointed < 12


def test_sizes_are_those_of_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_sizes("lnet") == (16, 5)
    assert read_sizes("dnet")[1] == 1
    main([recipe for recipe in RECIPES if recipe.name == "syncnet"])
    assert "| syncnet/paper.yaml | " in capsys.readouterr().out
