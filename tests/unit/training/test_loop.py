"""The shared loop: interruptions, workers and ranks change nothing, and every fault is one line."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from retalking.errors import ConfigError
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from retalking.training.loop import _restore
from retalking.training.progress import Progress
from retalking.training.run_dir import RunDir, own_run_dir
from tests.unit.training import toy_trainer
from tests.unit.training.toy_trainer import CONFIG, ToyConfig, main, train


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    threads, level = torch.get_num_threads(), logging.getLogger().level
    yield
    for process in multiprocessing.active_children():
        process.kill()
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that start in milliseconds, forked from one that has the imports done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.training.toy_trainer"])
    return context


def _final(run_dir: Path) -> dict[str, Any]:
    folder = RunDir(run_dir)
    return torch.load(folder.state_path(folder.saved_steps()[-1]), weights_only=True)


def _records(run_dir: Path) -> list[dict[str, Any]]:
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [record for line in lines if (record := json.loads(line))["split"] != "speed"]


def _assert_same(a: Any, b: Any, where: str = "", tolerance: float = 0.0) -> None:
    """Compare nested states; bitwise without a tolerance."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            _assert_same(a[key], b[key], f"{where}.{key}", tolerance)
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for index, pair in enumerate(zip(a, b, strict=True)):
            _assert_same(*pair, f"{where}[{index}]", tolerance)
    elif tolerance and isinstance(a, (torch.Tensor, float)):
        difference = float((torch.as_tensor(a) - torch.as_tensor(b)).abs().max())
        assert difference <= tolerance, f"{where}: {difference}"
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def _assert_same_run(a: Path, b: Path, tolerance: float = 0.0) -> None:
    _assert_same(_final(a), _final(b), "state", tolerance)
    _assert_same(_records(a), _records(b), "metrics", tolerance)
    best = "weights-best.safetensors"
    loaded = [safetensors.torch.load_file(folder / best) for folder in (a, b)]
    _assert_same(*loaded, best, tolerance)


def _steps_logged(run_dir: Path) -> int:
    file = run_dir / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


def _wait_for_step(step: int, run_dir: Path, process: BaseProcess) -> None:
    deadline = time.monotonic() + 60
    while _steps_logged(run_dir) < step:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    records = [(record["split"], record["step"]) for record in _records(run_dir)]
    assert records == [
        ("train", 3),
        ("validation", 5),
        ("train", 6),
        ("train", 9),
        ("validation", 10),
        ("train", 12),
        ("validation", 12),
    ]
    losses = [record["l1"] for record in _records(run_dir) if record["split"] == "train"]
    assert losses[-1] < losses[0]
    assert _final(run_dir)["schedule"] == {"active": True}
    assert "step 12/12" in (run_dir / "log.txt").read_text()
    best = min(record["l1"] for record in _records(run_dir) if record["split"] == "validation")
    assert _final(run_dir)["progress"]["best"] == best


def test_stopped_and_continued_equals_straight(config: Path, tmp_path: Path) -> None:
    assert main(config, tmp_path / "straight") == 0
    for num_steps in (4, 8, 8, 12):  # the third start finds nothing left to do
        assert main(config, tmp_path / "parts", f"loop.num_steps={num_steps}") == 0
    straight, parts = _final(tmp_path / "straight"), _final(tmp_path / "parts")
    for name in ("net", "ema", "updater"):
        _assert_same(straight[name], parts[name], name)


def test_killed_at_random_moments_equals_straight(
    config: Path, tmp_path: Path, processes: Any
) -> None:
    run_dir = tmp_path / "killed"
    fast = ("loop.log_every=1", "loop.validate_every=7", "loop.save_every=5")
    moments = random.Random(0)
    num_moved = 0
    for kill in range(10):
        before = _steps_logged(run_dir)
        process = processes.Process(
            target=toy_trainer.child, args=(config, run_dir, *fast, "loop.num_steps=1000000")
        )
        process.start()
        if kill % 2:
            _wait_for_step(before + 1, run_dir, process)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if not run_dir.exists():
            continue
        done, folder = _steps_logged(run_dir), RunDir(run_dir)
        num_moved += done > before
        assert max(folder.saved_steps(), default=0) >= done - done % 5 - 5
        for step in folder.saved_steps():
            torch.load(folder.state_path(step), weights_only=True)
        for file in run_dir.glob("weights-*.safetensors"):
            safetensors.torch.load_file(file)
    assert num_moved >= 3
    last = f"loop.num_steps={_steps_logged(run_dir) + 3}"
    assert main(config, run_dir, *fast, last) == 0
    assert main(config, tmp_path / "straight", *fast, last) == 0
    _assert_same_run(tmp_path / "straight", run_dir)
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
    _wait_for_step(3, run_dir, process)
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == 0
    (step,) = RunDir(run_dir).saved_steps()
    assert step == _steps_logged(run_dir)
    assert (
        f"stopped by {number.name}; the same command continues" in (run_dir / "log.txt").read_text()
    )
    last = f"loop.num_steps={step + 2}"
    assert main(config, run_dir, *settings, last) == 0
    assert main(config, tmp_path / "straight", *settings, last) == 0
    _assert_same(_final(tmp_path / "straight")["net"], _final(run_dir)["net"])


def test_workers_change_nothing(config: Path, tmp_path: Path) -> None:
    assert main(config, tmp_path / "none") == 0
    assert main(config, tmp_path / "two", "loop.num_workers=2") == 0
    _assert_same_run(tmp_path / "none", tmp_path / "two")


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
    _assert_same_run(tmp_path / "one", tmp_path / "two", tolerance=1e-5)


def test_signal_to_one_rank_stops_all(config: Path, tmp_path: Path, processes: Any) -> None:
    run_dir = tmp_path / "two"
    settings = ("loop.log_every=1", "loop.num_steps=100000")
    ranks = _start_ranks(processes, config, run_dir, *settings)
    _wait_for_step(2, run_dir, ranks[1])
    os.kill(ranks[1].pid or 0, signal.SIGTERM)
    for process in ranks:
        process.join(30)
    assert [process.exitcode for process in ranks] == [0, 0]
    assert RunDir(run_dir).saved_steps()[-1] == _steps_logged(run_dir)


def test_accumulation_equals_one_large_batch(config: Path, tmp_path: Path) -> None:
    settings = ("model.dropout=0", "model.batch_norm=false", "optimizer.learning_rate=1e-3")
    assert main(config, tmp_path / "one", *settings) == 0
    assert main(config, tmp_path / "two", *settings, "compute.accumulate=2") == 0
    for name in ("net", "ema"):
        _assert_same(_final(tmp_path / "one")[name], _final(tmp_path / "two")[name], name, 1e-5)


@pytest.mark.parametrize("setting", ["compute.precision=bf16", "compute.channels_last=true"])
def test_switches_train_and_change_little(config: Path, tmp_path: Path, setting: str) -> None:
    assert main(config, tmp_path / "plain", "model.dropout=0") == 0
    assert main(config, tmp_path / "switched", "model.dropout=0", setting) == 0
    plain, switched = _records(tmp_path / "plain"), _records(tmp_path / "switched")
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
        assert [record["split"] for record in _records(job.run_dir)] == ["train", "validation"]
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


def test_ranks_that_see_different_folders(tmp_path: Path) -> None:
    class Elsewhere(Ranks):
        def broadcast_number(self, number: int) -> int:
            return number + 400

    with pytest.raises(ConfigError, match=r"rank 0 sees step 0 .*a disk that all machines share"):
        _restore(RunDir(tmp_path), {}, Progress(1), Elsewhere())


def _fault(capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert code == 2
    lines = capsys.readouterr().err.splitlines()
    faults = [line for line in lines if line.startswith("error: ")]
    assert len(faults) == 1
    assert not any("Traceback" in line for line in lines)
    return faults[0]


def test_a_batch_that_is_not_finite_is_left_out(config: Path, tmp_path: Path) -> None:
    run_dir, settings = tmp_path / "run", ("model.batch_norm=false", "nan_draws=[22]")
    assert main(config, run_dir, *settings, "loop.num_steps=5") == 0
    before = _final(run_dir)["net"]
    assert main(config, run_dir, *settings, "loop.num_steps=6") == 0
    _assert_same(before, _final(run_dir)["net"])
    assert main(config, run_dir, *settings) == 0
    assert _final(run_dir)["progress"]["left_out"] == [5]
    assert _final(run_dir)["net"]["layers.0.weight"].isfinite().all()
    log = (run_dir / "log.txt").read_text()
    assert "step 5: l1 is nan" in log
    assert "clips of this batch: clip20, clip21, clip22, clip23; the batch is left out" in log
    assert all(record.get("l1", 0) == record.get("l1", 0) for record in _records(run_dir))


def test_a_spoilt_state_goes_back_to_the_last_checkpoint(config: Path, tmp_path: Path) -> None:
    # NaN enters the statistics of batch norm, which no later update mends.
    settings = ("nan_draws=[22]",)
    assert main(config, tmp_path / "straight", *settings) == 0
    log = (tmp_path / "straight" / "log.txt").read_text()
    assert "state is not finite any more; only the last checkpoint helps" in log
    final = _final(tmp_path / "straight")
    assert final["progress"]["left_out"] == [5]
    assert all(value.isfinite().all() for value in final["net"].values())
    assert [record["step"] for record in _records(tmp_path / "straight")] == [
        *(3, 5, 6, 9, 10, 12, 12)
    ]
    for num_steps in (7, 12):
        assert main(config, tmp_path / "parts", *settings, f"loop.num_steps={num_steps}") == 0
    _assert_same(final["net"], _final(tmp_path / "parts")["net"])


def test_bad_batches_without_end_are_one_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("model.batch_norm=false", f"nan_draws={[*range(16, 48)]}")
    fault = _fault(capsys, main(config, tmp_path / "run", *settings))
    assert "step 9: l1 is nan" in fault
    assert "2 such batches in a row" in fault
    assert "clips of this batch: clip36, clip37" in fault
    assert _final(tmp_path / "run")["progress"]["left_out"] == [4, 5, 6, 7]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_unreadable_samples_are_replaced_up_to_a_quota(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], num_workers: int
) -> None:
    run_dir = tmp_path / "run"
    unreadable, patient = "unreadable_draws=[9, 17, 33]", "loop.tolerance.bad_samples=9"
    settings = (unreadable, f"loop.num_workers={num_workers}")
    fault = _fault(capsys, main(config, run_dir, *settings))
    assert fault.startswith("error: clip33: cannot be read; 3 samples could not be read")
    log = (run_dir / "log.txt").read_text()
    assert "step 2: a sample was replaced: clip9: cannot be read" in log
    # What was learnt until then is kept, and the same command goes on with a larger quota.
    assert RunDir(run_dir).saved_steps()[-1] == 8
    assert main(config, run_dir, *settings, patient) == 0
    assert main(config, tmp_path / "straight", unreadable, patient) == 0
    _assert_same(_final(run_dir)["net"], _final(tmp_path / "straight")["net"])


def test_two_trainings_do_not_share_a_folder(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_run_dir(tmp_path / "run"):
        fault = _fault(capsys, main(config, tmp_path / "run"))
    assert f"process {os.getpid()} on " in fault
    assert "trains in this run folder" in fault
    assert main(config, tmp_path / "run", "loop.num_steps=1") == 0


def test_a_setting_may_be_changed_on_purpose(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert main(config, run_dir, "loop.num_steps=1") == 0
    arguments = ["--config", str(config), "--run-dir", str(run_dir), "--device", "cpu"]
    arguments += ["--set", "optimizer.learning_rate=1e-4", "--set", "loop.num_steps=2"]
    capsys.readouterr()
    assert "give --allow-change KEY" in _fault(capsys, launch("", ToyConfig, train, arguments))
    allowed = [*arguments, "--allow-change", "optimizer.learning_rate"]
    assert launch("", ToyConfig, train, allowed) == 0
    changes = [json.loads(line) for line in (run_dir / "changes.jsonl").read_text().splitlines()]
    assert "optimizer.learning_rate: was 0.003, now 0.0001" in [c["change"] for c in changes]
    wrong = [*arguments, "--allow-change", "optimizer.rate"]
    fault = _fault(capsys, launch("", ToyConfig, train, wrong))
    assert "--allow-change optimizer.rate: expected one of" in fault


def test_other_configuration_is_refused(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, tmp_path / "run", "loop.num_steps=1") == 0
    capsys.readouterr()
    changed = ("optimizer.learning_rate=1", "loop.seed=8", "loop.num_steps=2")
    fault = _fault(capsys, main(config, tmp_path / "run", *changed))
    assert "optimizer.learning_rate: was 0.003, now 1.0" in fault
    assert "loop.seed: was 7, now 8" in fault
    assert "num_steps" not in fault
    assert main(config, tmp_path / "run", "loop.num_steps=2") == 0
    assert "loop.num_steps: was 1, now 2" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loop.best_metric=psnr", "got 'psnr', expected one of the validation metrics l1"),
        ("compute.accumulate=3", "accumulate: got 3, expected a divisor of the 4 samples"),
        ("loop.sede=3", "loop.sede: unknown key; closest: loop.seed"),
    ],
)
def test_settings_that_do_not_fit(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    settings = [setting, *(["loop.seed=1"] if "sede" in setting else [])]
    assert message in _fault(capsys, main(config, tmp_path / "run", *settings))


def test_damaged_checkpoint_is_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, tmp_path / "run") == 0
    capsys.readouterr()
    state = tmp_path / "run" / "state-00000012.pt"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    more = "loop.num_steps=13"
    fault = _fault(capsys, main(config, tmp_path / "run", more))
    assert "cannot resume" in fault
    assert str(state) in fault
    assert "delete this file to continue from the one before it" in fault
    state.unlink()
    assert main(config, tmp_path / "run", more) == 0
    assert RunDir(tmp_path / "run").saved_steps()[-1] == 13


@pytest.mark.parametrize(
    ("limit_bytes", "refused"), [(60_000, "weights-00000006"), (300_000, "state-00000006")]
)
def test_full_disk_keeps_the_old_checkpoint(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    limit_bytes: int,
    refused: str,
) -> None:
    run_dir = tmp_path / "run"
    wide = ("model.width=500", "loop.save_every=2", "loop.validate_every=100")
    assert main(config, run_dir, *wide, "loop.num_steps=4") == 0
    kept = {file: file.read_bytes() for file in run_dir.glob("state-*")}
    capsys.readouterr()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file-size limit fails a write in the kernel as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        code = main(config, run_dir, *wide, "loop.num_steps=8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    fault = _fault(capsys, code)
    assert "File too large" in fault
    assert refused in fault
    assert {file: file.read_bytes() for file in run_dir.glob("state-*")} == kept
    assert not list(run_dir.glob(".*part*"))
    assert main(config, run_dir, *wide, "loop.num_steps=8") == 0
    assert main(config, tmp_path / "straight", *wide, "loop.num_steps=8") == 0
    _assert_same(_final(run_dir)["net"], _final(tmp_path / "straight")["net"])
