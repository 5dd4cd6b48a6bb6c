"""One batch size for every call, and clear words where a machine or a network cannot."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retalking.errors import RetalkingError
from retalking.networks.runner import Runner
from tests.unit.networks.small_network import CPU, Greedy, Small, runner_of


def test_the_result_does_not_depend_on_how_many_frames_come_along() -> None:
    runner = runner_of()
    network = runner.place(Small())
    pictures = torch.rand(9, 3, 24, 24)
    whole = runner(network, pictures)
    assert whole.shape == (9, 5, 12, 12)
    for count in range(1, 10):
        for first in range(0, 10 - count):
            part = runner(network, pictures[first : first + count])
            assert torch.equal(part, whole[first : first + count])
    assert set(network.batches) == {4}


class ByPlace:
    """A network whose last bits depend on the place in the batch, as those of libraries may."""

    def __call__(self, picture: Tensor) -> Tensor:
        return picture + torch.arange(len(picture))[:, None] / 1024


@pytest.mark.parametrize(
    "numbers", [range(11), range(5, 16), (0, 1, 4, 6, 7, 11, 12, 13, 29, 30, 44)]
)
def test_a_frame_has_the_same_place_in_its_batch_wherever_it_is_cut(numbers: Sequence[int]) -> None:
    order = np.array(numbers)
    pictures = torch.arange(11.0)[:, None]
    whole = runner_of()(ByPlace(), pictures, numbers=order)
    torch.testing.assert_close(whole, pictures + torch.from_numpy(order % 4)[:, None] / 1024)
    for size in (1, 2, 3, 5, 7):
        parts = [
            runner_of().for_frames(order[start : start + size])(
                ByPlace(), pictures[start : start + size]
            )
            for start in range(0, 11, size)
        ]
        assert torch.equal(torch.cat(parts), whole)


def test_several_results_stay_in_step() -> None:
    numbers = np.array([2, 3, 5, 8, 9])
    values = torch.arange(5.0)[:, None]
    both = runner_of().for_frames(numbers)
    same, double = both.several(
        ByPlace(),
        values,
        forward=lambda value: (value, 2 * value),
        finish=lambda value, twice: (value, twice.to(torch.uint8)),
    )
    assert torch.equal(same, values)
    assert double.dtype == torch.uint8
    assert torch.equal(double, (2 * values).to(torch.uint8))


def test_every_frame_gets_its_own_inputs() -> None:
    pictures, numbers = torch.zeros(7, 3, 8, 8), torch.arange(7.0)
    runner = runner_of(3)
    network = runner.place(Small())
    difference = runner(network, pictures, numbers) - runner(network, pictures)
    torch.testing.assert_close(difference[:, 0, 0, 0], numbers)


def test_results_are_float32_on_the_cpu_without_gradients() -> None:
    runner = Runner(CPU, torch.bfloat16, 2)
    network = runner.place(Small())
    result = runner(network, torch.rand(3, 3, 8, 8))
    assert (result.dtype, result.device, result.requires_grad) == (torch.float32, CPU, False)
    exact = Runner(CPU, torch.float32, 2)(network, torch.rand(3, 3, 8, 8))
    assert exact.shape == result.shape


def test_lower_precision_is_used_where_asked_for() -> None:
    seen: list[torch.dtype] = []

    def watch(picture: Tensor) -> Tensor:
        result = torch.nn.functional.conv2d(picture, torch.ones(1, 3, 1, 1))
        seen.append(result.dtype)
        return result

    Runner(CPU, torch.bfloat16, 2)(watch, torch.rand(1, 3, 4, 4))
    Runner(CPU, torch.float32, 2)(watch, torch.rand(1, 3, 4, 4))
    assert seen == [torch.bfloat16, torch.float32]


def test_placing_makes_a_network_ready_for_inference() -> None:
    network = runner_of().place(Small())
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    weight = network.layers[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_integers_come_back_as_numbers() -> None:
    labels = runner_of()(lambda picture: picture.argmax(dim=1), torch.eye(5).repeat(2, 1))
    np.testing.assert_array_equal(labels.numpy(), np.tile(np.arange(5), 2))


def test_what_is_kept_of_a_batch_is_made_as_soon_as_it_is_done() -> None:
    """Of the frames asked for, once their result was found to be finite."""
    seen: list[int] = []

    def to_bytes(result: Tensor) -> Tensor:
        seen.append(len(result))
        return (result * 10).to(torch.uint8)

    pictures = torch.arange(6.0)[:, None]
    kept = runner_of()(lambda picture: picture.double(), pictures, finish=to_bytes)
    assert kept.dtype == torch.uint8
    np.testing.assert_array_equal(kept[:, 0], np.arange(6) * 10)
    assert seen == [4, 2]
    with pytest.raises(RetalkingError, match="not finite"):
        runner_of()(lambda picture: picture / 0, pictures, finish=to_bytes)
    assert seen == [4, 2]


def test_batches_are_halved_for_good_when_memory_runs_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner, network = runner_of(16), Greedy(5)
    pictures = torch.rand(21, 2)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(runner(network, pictures), pictures * 2)
    assert network.batches == [16, 8, 4, 4, 4, 4, 4, 4]
    assert runner.batch_size == 4
    assert "batches of 4 frames" in caplog.text
    runner(network, pictures[:1])
    assert network.batches[-1] == 4


def test_memory_that_runs_out_in_the_middle_loses_no_frame() -> None:
    class Later(Greedy):
        def __call__(self, picture: Tensor) -> Tensor:
            if len(self.batches) == 2:
                self.limit = 3
            return super().__call__(picture)

    pictures = torch.arange(19.0)[:, None]
    runner = runner_of(4)
    assert torch.equal(runner(Later(99), pictures), pictures * 2)
    assert runner.batch_size == 2


def test_a_batch_too_large_to_be_moved_to_the_device_is_halved_too() -> None:
    class Heavy:
        """A tensor of which at most two rows fit onto the device."""

        def __init__(self, rows: Tensor) -> None:
            self.rows = rows

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, rows: np.ndarray | slice) -> Tensor:
            taken = self.rows[rows]
            if len(taken) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return taken

    runner, pictures = runner_of(4), torch.rand(3, 2)
    result = runner(Greedy(99), Heavy(pictures))  # type: ignore[arg-type]
    assert torch.equal(result, pictures * 2)
    assert runner.batch_size == 2


def test_one_frame_that_does_not_fit_is_an_error_with_advice() -> None:
    with pytest.raises(RetalkingError, match=r"out of memory on cpu with one frame.*--device cpu"):
        runner_of(4)(Greedy(0), torch.rand(3, 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_is_refused_by_the_network_s_name(value: float) -> None:
    def spoil(picture: Tensor) -> Tensor:
        return picture / 0 * value

    message = "spoil: the result is not finite in torch.float32; use --precision fp32"
    with pytest.raises(RetalkingError, match=message):
        runner_of()(spoil, torch.ones(2, 3))
    with pytest.raises(RetalkingError, match=r"^Small: the result is not finite"):
        runner_of()(Small(), torch.ones(2, 3), forward=spoil)
    with pytest.raises(RetalkingError, match=r"^ReLU: the result is not finite"):
        runner_of()(nn.ReLU(), torch.full((2, 3), float("inf")))


def test_of_what_stays_it_is_told_when_something_is_fetched() -> None:
    """To ask a GPU at once would be to wait for it."""
    runner, pictures = runner_of(), torch.ones(6, 3)
    stays = runner.for_frames(np.arange(6), stays=True)
    assert runner.fetch(stays(Small(), pictures, forward=lambda part: part)).shape == (6, 3)
    spoilt = stays(Small(), pictures, forward=lambda part: part / 0)
    stays(nn.ReLU(), spoilt)
    with pytest.raises(RetalkingError, match=r"^Small: the result is not finite"):
        runner.fetch(pictures)
    runner.fetch(pictures)  # it is told once


def test_pictures_come_back_as_bytes_once_per_batch() -> None:
    runner = runner_of()
    pictures = torch.randint(0, 256, (6, 24, 24, 3), dtype=torch.uint8)
    strengths = torch.rand(6, 1, 1, 1)
    kept = runner(
        lambda rgb, strength: rgb * strength,
        pictures,
        strengths,
        finish=lambda made: made.round().to(torch.uint8),
    )
    assert torch.equal(kept, (pictures * strengths).round().to(torch.uint8))
    traffic = runner.traffic  # batches of 4, the second one filled up
    assert (traffic.num_sent, traffic.num_fetched) == (4, 2)
    assert traffic.bytes_sent == 8 * (24 * 24 * 3 + 4)
    assert traffic.bytes_fetched == 6 * 24 * 24 * 3
