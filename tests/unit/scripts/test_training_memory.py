"""The table of training memory counts what autograd keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from scripts.measure.training_memory import RECIPES, main, measure, read_sizes

SIZE = 8


def call(network: nn.Module, samples: int, frames: int) -> Tensor:
    made: Tensor = network(torch.empty(samples * frames, 3, SIZE, SIZE))
    return made


def test_what_is_kept_is_counted_once_per_storage() -> None:
    with FakeTensorMode():
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 5, 1))
        fixed, sample = measure(net, call, 2, 0)
    assert fixed == 20 * (3 * 4 + 4 + 4 * 5 + 5)
    # Per frame the input and what the ReLU returns, which the second convolution keeps as well.
    assert sample == 2 * 4 * SIZE * SIZE * (3 + 4)


def test_frozen_parts_keep_nothing() -> None:
    with FakeTensorMode():
        net = nn.Sequential(nn.Conv2d(3, 4, 1).requires_grad_(False), nn.Conv2d(4, 5, 1))
        fixed, sample = measure(net, call, 1, 0)
    assert fixed == 20 * (4 * 5 + 5)
    assert sample == 4 * SIZE * SIZE * 4


def test_sizes_are_those_of_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_sizes("lnet") == (16, 5)
    assert read_sizes("dnet")[1] == 1
    main([recipe for recipe in RECIPES if recipe.name == "syncnet"])
    assert "| syncnet/paper.yaml | " in capsys.readouterr().out
