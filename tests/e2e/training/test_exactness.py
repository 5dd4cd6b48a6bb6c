"""Interruptions, kills, workers and ranks change nothing, in each of the trainers."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from models import weights
from retalking.training.run_dir import RunDir
from tests.e2e.conftest import Run
from tests.e2e.training.trainers import TRAINERS, assert_same_state, final, leaves, records, start

pytestmark = pytest.mark.usefixtures("one_thread", "processes")


@pytest.mark.parametrize("name", TRAINERS)
def test_interrupted_and_continued_is_the_same_as_straight(
    name: str, run: Run, tmp_path: Path
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run(name, straight) == 0
    assert run(name, broken, "loop.num_steps=2") == 0
    assert run(name, broken) == 0
    assert final(straight)[0] == 4
    assert_same_state(straight, broken)
    for split in ("train", "validation"):
        assert records(straight, split) == records(broken, split)
    weights.load(RunDir(straight).weights_path("best"), TRAINERS[name][2])


@pytest.mark.parametrize("name", TRAINERS)
def test_workers_change_nothing(name: str, run: Run, tmp_path: Path) -> None:
    assert run(name, tmp_path / "none", "loop.num_steps=2") == 0
    assert run(name, tmp_path / "two", "loop.num_steps=2", "loop.num_workers=2") == 0
    assert_same_state(tmp_path / "none", tmp_path / "two")


def test_a_run_that_goes_on_with_checkpointing_is_the_same(run: Run, tmp_path: Path) -> None:
    every = "loop.validate_every=1"
    assert run("lnet", tmp_path / "kept", every, "loop.num_steps=2") == 0
    assert run("lnet", tmp_path / "repeated", every, "loop.num_steps=1") == 0
    more = ("loop.num_steps=2", "compute.checkpointing=true")
    assert run("lnet", tmp_path / "repeated", every, *more) == 0
    assert_same_state(tmp_path / "kept", tmp_path / "repeated")


def start_rank(rank: int, port: int, *arguments: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    sys.exit(start(*arguments))


@pytest.mark.parametrize(
    ("name", "metric", "same_weights"),
    [
        # A bias that a norm takes away again (D-Net, audio encoder of L-Net), or a kept colour
        # (E-Net), changes nothing; its gradient is rounding noise, of which Adam makes full steps.
        ("dnet", "l1", False),
        ("enet", "l1", False),
        ("lnet", "l1", False),
        ("syncnet", "loss", True),
    ],
)
def test_two_processes_equal_one(
    name: str,
    metric: str,
    same_weights: bool,
    tmp_path: Path,
    training_store: Path,
    lnet_file: Path,
    processes: Any,
) -> None:
    settings = (
        "loop.num_steps=2",
        "loop.batch_size=4",
        "loop.log_every=1",
        "optimizer.learning_rate=1e-4",
        "validation.num_samples=3",  # shared out unevenly
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (training_store, lnet_file, *settings)
    ranks = [
        processes.Process(target=start_rank, args=(rank, port, name, tmp_path / "two", *arguments))
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    assert start(name, tmp_path / "one", *arguments) == 0
    for rank in ranks:
        rank.join(600)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    for split in ("train", "validation"):
        one, two = (
            [record[metric] for record in records(tmp_path / folder, split)]
            for folder in ("one", "two")
        )
        assert len(one) > 0
        assert one == pytest.approx(two, rel=1e-5, abs=1e-5)
    if same_weights:
        weights_of_two = dict(leaves(final(tmp_path / "two")[1]["net"]))
        for key, value in leaves(final(tmp_path / "one")[1]["net"]):
            torch.testing.assert_close(value, weights_of_two[key], atol=1e-5, rtol=0, msg=key)


def train_for_ever(*arguments: Any) -> None:
    start(*arguments, "loop.num_steps=1000000")


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("dnet", "enet")), "lnet", "syncnet"],
)
def test_killed_at_random_moments(
    name: str, tmp_path: Path, training_store: Path, lnet_file: Path, processes: Any
) -> None:
    """Three times each; the loop that all share is killed ten times in tests/unit."""
    folder, moments = tmp_path / "killed", random.Random(name)
    settings = ("loop.log_every=1", "loop.validate_every=4", "loop.save_every=3")
    arguments = (name, folder, training_store, lnet_file, *settings)
    done = 0
    for _ in range(3):
        process = processes.Process(target=train_for_ever, args=arguments)
        process.start()
        _wait_for_step(done + 1, folder, process)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        done, run_dir = _steps_logged(folder), RunDir(folder)
        assert max(run_dir.saved_steps(), default=0) >= done - done % 3 - 3
        for step in run_dir.saved_steps():
            torch.load(run_dir.state_path(step), weights_only=True)
        for file in folder.glob("weights-*.safetensors"):
            weights.load(file, TRAINERS[name][2])
    last = f"loop.num_steps={done + 2}"
    assert start(*arguments, last) == 0
    assert start(name, tmp_path / "straight", *arguments[2:], last) == 0
    assert_same_state(tmp_path / "straight", folder)
    assert not list(folder.glob(".*.part*"))


def _steps_logged(folder: Path) -> int:
    file = folder / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


def _wait_for_step(step: int, folder: Path, process: Any) -> None:
    deadline = time.monotonic() + 600
    while _steps_logged(folder) < step:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
