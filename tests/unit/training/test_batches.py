"""Which draws a step and a rank get, and cutting, moving and guarding batches."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing, suppress
from itertools import islice
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from retalking.errors import ConfigError, MediaError
from retalking.training.batches import DrawSampler, read_batches, split, to_device
from retalking.training.distributed import Ranks


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
    def draws(world_size: int, rank: int, start: int) -> list[list[int]]:
        return list(islice(DrawSampler(4, start, Ranks(rank, world_size)), 2))

    assert draws(1, 0, 0) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert draws(1, 0, 1)[0] == draws(1, 0, 0)[1]
    assert draws(2, 0, 3) == [[12, 13], [16, 17]]
    assert draws(2, 1, 3) == [[14, 15], [18, 19]]


def test_batch_must_be_shared_out_evenly() -> None:
    with pytest.raises(ConfigError, match="got 3, expected a multiple of the 2 ranks"):
        DrawSampler(3, 0, Ranks(0, 2))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_order_and_mistakes_stay_one_line(num_workers: int) -> None:
    batches = read_batches(Numbers(), 3, 2, num_workers, Ranks())
    first, second = next(batches), next(batches)
    assert first.number.tolist() == [6, 7, 8]
    assert first.nested["half"].tolist() == [3, 3.5, 4]
    assert list(first.clip_ids) == ["clip6", "clip7", "clip8"]
    assert second.number.tolist() == [9, 10, 11]
    with pytest.raises(MediaError) as caught:
        next(batches)
    assert str(caught.value) == "clip13: audio is missing"


def test_loader_outlives_the_signal_that_stops_the_trainer_but_not_a_second_one() -> None:
    with closing(read_batches(Numbers(), 1, 0, 1, Ranks())) as batches:
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


def test_split_cuts_every_field() -> None:
    batch = next(read_batches(Numbers(), 4, 0, 0, Ranks()))
    parts = split(batch, 2)
    assert [part.number.tolist() for part in parts] == [[0, 1], [2, 3]]
    assert parts[1].nested["half"].tolist() == [1, 1.5]
    assert list(parts[1].clip_ids) == ["clip2", "clip3"]
    with pytest.raises(ConfigError, match="accumulate: got 3, expected a divisor of the 4"):
        split(batch, 3)


def test_to_device_moves_nested_tensors_and_leaves_words() -> None:
    batch = next(read_batches(Numbers(), 2, 0, 0, Ranks()))
    moved = to_device(batch, torch.device("meta"))
    assert isinstance(moved, Batch)
    assert moved.number.is_meta
    assert moved.nested["half"].is_meta
    assert moved.clip_ids == batch.clip_ids
