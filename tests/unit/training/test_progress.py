"""Means, the choice of the best weights, and the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
import torch

from retalking.errors import ConfigError, RetalkingError
from retalking.training.progress import Clock, Means, Progress


def test_means_start_anew_and_survive_a_restart() -> None:
    means = Means()
    means.add({"l1": 1.0})
    restored = Means()
    restored.load_state_dict(means.state_dict())
    restored.add({"l1": 4.0})
    assert restored.take() == {"l1": 2.5}
    restored.add({"sync": 3.0})
    assert restored.take() == {"sync": 3.0}


def test_best_is_strictly_better_in_the_chosen_direction() -> None:
    lowest, highest = Progress(9), Progress(9)
    values = [3.0, math.nan, 2.0, 2.0, 5.0]
    assert [lowest.improves({"a": v}, "a", "lowest") for v in values] == [1, 0, 1, 0, 0]
    assert [highest.improves({"a": v}, "a", "highest") for v in values] == [1, 0, 0, 0, 1]
    assert (lowest.best, highest.best) == (2.0, 5.0)


def test_best_metric_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"got 'fid', expected one of .* l1, ssim"):
        Progress(9).improves({"ssim": 1.0, "l1": 0.0}, "fid", "lowest")


def test_clock_tells_waiting_from_working() -> None:
    def slow() -> Iterator[int]:
        while True:
            time.sleep(0.03)
            yield 1

    items, clock = slow(), Clock()
    for _ in range(2):
        clock.next_of(items)
        time.sleep(0.01)
    speed = clock.take()
    assert speed["seconds_per_step"] >= 0.04
    assert 0.5 < speed["waiting_share"] < 1


def test_clock_tells_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 8_400_000_000)
    assert Clock().take()["gpu_peak_gb"] == 8.4
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "gpu_peak_gb" not in Clock().take()


def test_data_must_not_end() -> None:
    with pytest.raises(RetalkingError, match="training data ended"):
        Clock().next_of(iter([]))
