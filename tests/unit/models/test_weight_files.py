"""Weight files that may be anything: no code in them runs, and each is one clear line."""

from __future__ import annotations

import argparse
import collections
import datetime
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models import weight_files, weights
from retalking.errors import WeightsError
from tests.unit.models.tiny_net import TinyNet, assert_holds, random_state, saved


def test_plain_data_of_training_runs_is_accepted(network: TinyNet, tmp_path: Path) -> None:
    state = random_state(network)
    extras = {
        "milestones": collections.Counter([10, 20]),
        "best": np.float64(0.5),
        "step": np.int64(3),
        "learning_rate": np.float32(1e-4),
        "options": argparse.Namespace(batch_size=4),
    }
    path = saved(tmp_path / "DNet.pt", {"net_G_ema": state, **extras})
    weights.load_official(network, "DNet", path)
    assert_holds(network, state)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_other_classes_are_refused_by_name(legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"when": datetime.timedelta(1)}, legacy)
    with pytest.raises(WeightsError, match=r"x.pth holds objects of class datetime.timedelta"):
        weight_files.read_torch_file(path)


class _Creator:
    """Would create a file while being unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    path = saved(tmp_path / "evil.pth", {"a": _Creator(trap)})
    with pytest.raises(WeightsError, match=r"evil.pth"):
        weight_files.read_torch_file(path)
    assert not trap.exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.99])
def test_truncated_file_is_one_line(kept: float, legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.rand(1000), "b": torch.rand(10)}, legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match=r"truncated or not a weight file; fetch it again$") as e:
        weight_files.read_torch_file(path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("content", [b"\x00\xff garbage" * 50, b"hello", b"PK\x03\x04 no archive"])
def test_garbage_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"x.pth \({len(content)} bytes\) is truncated or not"):
        weight_files.read_torch_file(path)


def test_web_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"\n<!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(WeightsError, match="is a web page, not weights"):
        weight_files.read_torch_file(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wav2lip_gan.pth"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(WeightsError, match=r"wav2lip_gan.pth is a TorchScript program"):
        weight_files.read_torch_file(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist; official files: python -m"):
        weight_files.read_torch_file(tmp_path / "LNet.pth")
    with pytest.raises(WeightsError, match=r"cannot read .*: Is a directory"):
        weight_files.read_torch_file(tmp_path)


def test_file_without_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a dictionary of tensors, got Tensor"):
        weight_files.read_torch_file(saved(tmp_path / "x.pth", torch.ones(2)))


def test_flipped_bits_are_one_line_or_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"a": torch.arange(30.0)}, path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with suppress(WeightsError):
            weight_files.read_torch_file(path)


def test_a_directory_that_claims_to_be_on_another_disk(network: TinyNet, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"net_G_ema": random_state(network)})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x06\x07") + 4] = 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"x.pt .* is truncated or not a weight file"):
        weight_files.read_torch_file(path)
