"""Which draws a step and a rank get, and cutting, moving and guarding batches."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest
import torch
from torch import Tensor

from retalking.errors import ConfigError, MediaError, RetalkingError
from retalking.training.batches import StepSampler, read_batches, split, to_device, wait_for
from retalking.training.distributed import Ranks
from tests.loaders import loader_settings


class Batch(NamedTuple):
    number: Tensor
    nested: dict[str, Tensor]
    clip_ids: list[str]


class Numbers:
    def __getitem__(self, draw: int) -> Batch:
        if draw == 13:
            raise MediaError("clip13: audio is missing")
        number = torch.tensor(draw)
        return Batch(number, {"half": number / 2}, f"clip{draw}")  # type: ignore[arg-type]


def test_ranks_cut_the_same_draws_into_consecutive_shares() -> None:
    def dataset(world_size: int, rank: int, start: int) -> list[list[int]]:
        return list(islice(StepSampler(4, start, Ranks(rank, world_size)), 2))

    assert dataset(1, 0, 0) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert dataset(1, 0, 1)[0] == dataset(1, 0, 0)[1]
    assert dataset(2, 0, 3) == [[12, 13], [16, 17]]
    assert dataset(2, 1, 3) == [[14, 15], [18, 19]]


def test_batch_must_be_shared_out_evenly() -> None:
    with pytest.raises(ConfigError, match="got 3, expected a multiple of the 2 ranks"):
        StepSampler(3, 0, Ranks(0, 2))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_order_and_mistakes_stay_one_line(num_workers: int) -> None:
    batches = read_batches(Numbers(), loader_settings(3, num_workers), 2, Ranks())
    first, second = next(batches), next(batches)
    assert first.number.tolist() == [6, 7, 8]
    assert first.nested["half"].tolist() == [3, 3.5, 4]
    assert list(first.clip_ids) == ["clip6", "clip7", "clip8"]
    assert second.number.tolist() == [9, 10, 11]
    with pytest.raises(RetalkingError) as caught:
        next(batches)
    assert str(caught.value).startswith("clip13: audio is missing; 1 samples could not be read")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_sample_is_replaced_by_its_number_alone(num_workers: int) -> None:
    batches = read_batches(Numbers(), loader_settings(3, num_workers, bad_samples=1), 4, Ranks())
    number = next(batches).number.tolist()
    assert number[0::2] == [12, 14]
    assert number[1] == 13 + (1 << 40)
    assert next(batches).number.tolist() == [15, 16, 17]


class Faulty(Numbers):
    """The loader that first reads draw 7 is killed."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __getitem__(self, draw: int) -> Batch:
        if draw == 7 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(draw)


def test_a_killed_loader_is_started_anew(tmp_path: Path) -> None:
    dataset = Faulty(tmp_path / "marker")
    settings = loader_settings(2, 1, loader_restarts=1)
    with closing(read_batches(dataset, settings, 2, Ranks())) as batches:
        assert [next(batches).number.tolist() for _ in range(3)] == [[4, 5], [6, 7], [8, 9]]


def test_a_loader_that_hangs_is_given_up_at_the_limit() -> None:
    def hang(times: int) -> Iterator[str]:
        class Slow:
            left = times

            def __iter__(self) -> Slow:
                return self

            def __next__(self) -> str:
                self.left -= 1
                if self.left >= 0:
                    raise RuntimeError("DataLoader timed out after 5 seconds")
                return "batch"

        return iter(Slow())

    assert wait_for(hang(3), 20) == "batch"
    with pytest.raises(RuntimeError, match="timed out"):
        wait_for(hang(4), 20)


@pytest.mark.parametrize("broken", [EOFError(), ConnectionResetError(104, "reset")])
def test_a_loader_that_is_killed_while_it_sends_counts_as_lost(broken: Exception) -> None:
    def breaking() -> Iterator[str]:
        raise broken
        yield "never"

    with pytest.raises(RuntimeError, match="DataLoader worker was lost"):
        wait_for(breaking(), 60)


def test_a_fault_of_the_data_set_is_not_taken_for_a_lost_loader() -> None:
    def faulty() -> Iterator[str]:
        raise OSError("Caught OSError in DataLoader worker process 0.")
        yield "never"

    with pytest.raises(OSError, match="Caught"):
        wait_for(faulty(), 60)


def test_loaders_that_are_lost_again_and_again_are_one_line(tmp_path: Path) -> None:
    dataset = Faulty(tmp_path / "marker")
    with (
        closing(read_batches(dataset, loader_settings(2, 1), 2, Ranks())) as batches,
        pytest.raises(RetalkingError, match=r"step \d: DataLoader worker .*; started anew 0 times"),
    ):
        [next(batches) for _ in range(3)]


def test_loader_outlives_the_signal_that_stops_the_trainer_but_not_a_second_one() -> None:
    with closing(read_batches(Numbers(), loader_settings(1, 1), 0, Ranks())) as batches:
        next(batches)
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
        assert [next(batches).number.item() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        assert worker.is_alive()
        # PyTorch may notice the death first, and raises then.
        with suppress(RuntimeError):
            os.kill(worker.pid, signal.SIGTERM)
            worker.join(10)
        assert worker.exitcode == -signal.SIGTERM


class ThreadsOfOpenCv:
    """Draws that tell how many threads OpenCV uses where they are made."""

    def __getitem__(self, draw: int) -> int:
        return cv2.getNumThreads()


def test_a_loader_process_uses_one_thread_of_opencv() -> None:
    with closing(read_batches(ThreadsOfOpenCv(), loader_settings(1, 1), 0, Ranks())) as batches:
        assert next(batches).item() == 1


def test_split_cuts_every_field() -> None:
    batch = next(read_batches(Numbers(), loader_settings(4, 0), 0, Ranks()))
    parts = split(batch, 2)
    assert [part.number.tolist() for part in parts] == [[0, 1], [2, 3]]
    assert parts[1].nested["half"].tolist() == [1, 1.5]
    assert list(parts[1].clip_ids) == ["clip2", "clip3"]
    with pytest.raises(ConfigError, match="accumulate: got 3, expected a divisor of the 4"):
        split(batch, 3)


def test_to_device_moves_nested_tensors_and_leaves_words() -> None:
    batch = next(read_batches(Numbers(), loader_settings(2, 0), 0, Ranks()))
    moved = to_device(batch, torch.device("meta"))
    assert isinstance(moved, Batch)
    assert moved.number.is_meta
    assert moved.nested["half"].is_meta
    assert moved.clip_ids == batch.clip_ids
