"""Device, precision and batch size: asked for, or by what is here."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from retalking.errors import ConfigError
from retalking.networks.device import choose_device, choose_precision
from retalking.networks.runner import Runner, make_runner
from tests.unit.networks.small_network import CPU, Greedy, Small


def test_the_device_is_one_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    with pytest.raises(ConfigError, match=r"--device: got cuda.*lacks; usable here: mps, cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_automatic_precision_is_bf16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = torch.device("cuda")
    for native in (True, False):
        # By default PyTorch also counts the slow emulation of older GPUs.
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, native=native: native or including_emulation,
        )
        assert choose_precision("auto", cuda) is (torch.bfloat16 if native else torch.float32)
    assert choose_precision("bf16", CPU) is torch.bfloat16
    assert choose_precision("fp16", cuda) is torch.float16
    with pytest.raises(ConfigError, match="--precision: got fp16 on the CPU"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx2": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx512_f": True}, torch.float32),
        (None, torch.float32),
    ],
)
def test_automatic_precision_is_bf16_where_the_cpu_has_it(
    able: dict[str, bool] | None, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if able is None:  # an older PyTorch
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert choose_precision("auto", CPU) is expected


def large_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2_500_000, bias=False))


def test_on_a_cpu_large_networks_get_single_frames_and_small_ones_batches() -> None:
    runner, large = make_runner("cpu"), large_network()
    assert (runner.size_for(large), runner.size_for(Small())) == (1, 4)
    pictures, seen = torch.rand(3, 4), []

    def forward(picture: Tensor) -> Tensor:
        seen.append(len(picture))
        return picture

    runner(large, pictures, forward=forward)
    runner(Small(), pictures, forward=forward)
    assert seen == [1, 1, 1, 4]


def test_a_batch_size_that_is_asked_for_holds_for_all_networks() -> None:
    runner = make_runner("cpu", "bf16", 7)
    assert runner == Runner(CPU, torch.bfloat16, 7)
    assert (runner.size_for(large_network()), runner.size_for(Small())) == (7, 7)


def test_a_gpu_takes_batches_of_large_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert make_runner("cuda", "fp32").size_for(large_network()) == 16
    halved = Runner(CPU, torch.float32, 16, 8)
    halved(Greedy(5), torch.rand(16, 2))
    assert (halved.batch_size, halved.large_batch_size) == (4, 4)
