"""The shared loop: interruptions, workers, ranks and accumulation change nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from retalking.training.cli import launch
from retalking.training.run_dir import RunDir
from tests.unit.training import toy_trainer
from tests.unit.training.runs import (
    assert_same,
    assert_same_run,
    final,
    records,
    steps_logged,
    wait_for_step,
)
from tests.unit.training.toy_trainer import ToyConfig, main, train


def test_a_run_ends_where_validation_gets_no_better(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The L1 falls, so that of all validations the first has the highest."""
    worse = ("loop.best_is=highest", "loop.patience=1")
    assert main(config, tmp_path / "run", *worse) == 0
    assert RunDir(tmp_path / "run").saved_steps() == [8, 10]
    assert "1 validations without a better one" in caplog.text
    assert main(config, tmp_path / "run", *worse) == 0  # and stays ended
    assert RunDir(tmp_path / "run").saved_steps() == [8, 10]
    more = ("loop.best_is=highest", "loop.patience=2")
    assert main(config, tmp_path / "run", *more) == 0
    assert RunDir(tmp_path / "run").saved_steps()[-1] == 12


def test_run_folder_after_a_run(config: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    assert main(config, run_dir) == 0
    names = {file.name for file in run_dir.glob("[!.]*") if "tfevents" not in file.name}
    assert names == {
        "changes.jsonl",
        "config.yaml",
        "contents.json",
        "environment.json",
        "log.txt",
        "metrics.jsonl",
        "state-00000008.pt",
        "state-00000012.pt",
        "weights-00000008.safetensors",
        "weights-00000012.safetensors",
        "weights-best.safetensors",
    }
    steps = [(record["split"], record["step"]) for record in records(run_dir)]
    assert steps == [
        ("train", 3),
        ("validation", 5),
        ("train", 6),
        ("train", 9),
        ("validation", 10),
        ("train", 12),
        ("validation", 12),
    ]
    losses = [record["l1"] for record in records(run_dir) if record["split"] == "train"]
    assert losses[-1] < losses[0]
    assert final(run_dir)["schedule"] == {"active": True}
    assert "step 12/12" in (run_dir / "log.txt").read_text()
    best = min(record["l1"] for record in records(run_dir) if record["split"] == "validation")
    assert final(run_dir)["progress"]["best"] == best


def test_stopped_and_continued_equals_straight(config: Path, tmp_path: Path) -> None:
    assert main(config, tmp_path / "straight") == 0
    for num_steps in (4, 8, 8, 12):  # the third start finds nothing left to do
        assert main(config, tmp_path / "parts", f"loop.num_steps={num_steps}") == 0
    straight, parts = final(tmp_path / "straight"), final(tmp_path / "parts")
    for name in ("net", "ema", "updater"):
        assert_same(straight[name], parts[name], name)


def test_killed_at_random_moments_equals_straight(
    config: Path, tmp_path: Path, processes: Any
) -> None:
    run_dir = tmp_path / "killed"
    fast = ("loop.log_every=1", "loop.validate_every=7", "loop.save_every=5")
    moments = random.Random(0)
    num_moved = 0
    for kill in range(10):
        before = steps_logged(run_dir)
        process = processes.Process(
            target=toy_trainer.child, args=(config, run_dir, *fast, "loop.num_steps=1000000")
        )
        process.start()
        if kill % 2:
            wait_for_step(before + 1, run_dir, process)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if not run_dir.exists():
            continue
        done, folder = steps_logged(run_dir), RunDir(run_dir)
        num_moved += done > before
        assert max(folder.saved_steps(), default=0) >= done - done % 5 - 5
        for step in folder.saved_steps():
            torch.load(folder.state_path(step), weights_only=True)
        for file in run_dir.glob("weights-*.safetensors"):
            safetensors.torch.load_file(file)
    assert num_moved >= 3
    last = f"loop.num_steps={steps_logged(run_dir) + 3}"
    assert main(config, run_dir, *fast, last) == 0
    assert main(config, tmp_path / "straight", *fast, last) == 0
    assert_same_run(tmp_path / "straight", run_dir)
    assert not list(run_dir.glob(".*.part*"))
    assert len(json.loads((run_dir / "environment.json").read_text())) > num_moved


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_ends_cleanly(
    config: Path, tmp_path: Path, processes: Any, number: signal.Signals
) -> None:
    run_dir = tmp_path / "stopped"
    settings = ("loop.log_every=1", "loop.save_every=100000")
    process = processes.Process(
        target=toy_trainer.child, args=(config, run_dir, *settings, "loop.num_steps=100000")
    )
    process.start()
    wait_for_step(3, run_dir, process)
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == 0
    (step,) = RunDir(run_dir).saved_steps()
    assert step == steps_logged(run_dir)
    assert (
        f"stopped by {number.name}; the same command continues" in (run_dir / "log.txt").read_text()
    )
    last = f"loop.num_steps={step + 2}"
    assert main(config, run_dir, *settings, last) == 0
    assert main(config, tmp_path / "straight", *settings, last) == 0
    assert_same(final(tmp_path / "straight")["net"], final(run_dir)["net"])


def test_workers_change_nothing(config: Path, tmp_path: Path) -> None:
    assert main(config, tmp_path / "none") == 0
    assert main(config, tmp_path / "two", "loop.num_workers=2") == 0
    assert_same_run(tmp_path / "none", tmp_path / "two")


def _start_ranks(processes: Any, config: Path, run_dir: Path, *settings: str) -> list[BaseProcess]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(2):
        process = processes.Process(target=_rank, args=(rank, port, config, run_dir, *settings))
        process.start()
        started.append(process)
    return started


def _rank(rank: int, port: int, config: Path, run_dir: Path, *settings: str) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    toy_trainer.child(config, run_dir, *settings)


def test_two_ranks_equal_one(config: Path, tmp_path: Path, processes: Any) -> None:
    # Sums in another order differ in the last bit, which Adam's division enlarges where a gradient
    # is nearly zero; a few steps at a small rate stay well within the tolerance.
    settings = ("model.dropout=0", "optimizer.learning_rate=1e-3")
    ranks = _start_ranks(processes, config, tmp_path / "two", *settings)
    assert main(config, tmp_path / "one", *settings) == 0
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]
    assert_same_run(tmp_path / "one", tmp_path / "two", tolerance=1e-5)


def test_signal_to_one_rank_stops_all(config: Path, tmp_path: Path, processes: Any) -> None:
    run_dir = tmp_path / "two"
    settings = ("loop.log_every=1", "loop.num_steps=100000")
    ranks = _start_ranks(processes, config, run_dir, *settings)
    wait_for_step(2, run_dir, ranks[1])
    os.kill(ranks[1].pid or 0, signal.SIGTERM)
    for process in ranks:
        process.join(30)
    assert [process.exitcode for process in ranks] == [0, 0]
    assert RunDir(run_dir).saved_steps()[-1] == steps_logged(run_dir)


def test_accumulation_equals_one_large_batch(config: Path, tmp_path: Path) -> None:
    settings = ("model.dropout=0", "model.batch_norm=false", "optimizer.learning_rate=1e-3")
    assert main(config, tmp_path / "one", *settings) == 0
    assert main(config, tmp_path / "two", *settings, "compute.accumulate=2") == 0
    for name in ("net", "ema"):
        assert_same(final(tmp_path / "one")[name], final(tmp_path / "two")[name], name, 1e-5)


@pytest.mark.parametrize("setting", ["compute.precision=bf16", "compute.channels_last=true"])
def test_switches_train_and_change_little(config: Path, tmp_path: Path, setting: str) -> None:
    assert main(config, tmp_path / "plain", "model.dropout=0") == 0
    assert main(config, tmp_path / "switched", "model.dropout=0", setting) == 0
    plain, switched = records(tmp_path / "plain"), records(tmp_path / "switched")
    assert switched[-1]["l1"] == pytest.approx(plain[-1]["l1"], rel=0.02)


def test_dry_run_leaves_nothing_behind(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    judged: list[int] = []

    def spied(settings: ToyConfig, job: Any) -> int:
        done = train(settings, job)
        judged.extend(RunDir(job.run_dir).saved_steps())
        assert [record["split"] for record in records(job.run_dir)] == ["train", "validation"]
        return done

    arguments = ["--config", str(config), "--dry_run", "--device", "cpu"]
    assert launch("Train a toy.", ToyConfig, spied, arguments) == 0
    assert judged == [1]
    assert set(tmp_path.rglob("*")) == before


def test_command_line_needs_a_folder(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        launch("Train a toy.", ToyConfig, train, ["--config", str(config)])
    assert caught.value.code == 2
    assert "--run-dir is needed" in capsys.readouterr().err
