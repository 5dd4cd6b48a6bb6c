"""What a training survives, and what ends it with one line."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from retalking.training.loop import _restore
from retalking.training.progress import Progress
from retalking.training.run_dir import RunDir, own_run_dir
from tests.unit.training.runs import assert_same, final, records
from tests.unit.training.toy_trainer import ToyConfig, main, train


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
    before = final(run_dir)["net"]
    assert main(config, run_dir, *settings, "loop.num_steps=6") == 0
    assert_same(before, final(run_dir)["net"])
    assert main(config, run_dir, *settings) == 0
    assert final(run_dir)["progress"]["left_out"] == [5]
    assert final(run_dir)["net"]["layers.0.weight"].isfinite().all()
    log = (run_dir / "log.txt").read_text()
    assert "step 5: l1 is nan" in log
    assert "clips of this batch: clip20, clip21, clip22, clip23; the batch is left out" in log
    assert all(record.get("l1", 0) == record.get("l1", 0) for record in records(run_dir))


def test_a_spoilt_state_goes_back_to_the_last_checkpoint(config: Path, tmp_path: Path) -> None:
    # NaN enters the statistics of batch norm, which no later update mends.
    settings = ("nan_draws=[22]",)
    assert main(config, tmp_path / "straight", *settings) == 0
    log = (tmp_path / "straight" / "log.txt").read_text()
    assert "state is not finite any more; only the last checkpoint helps" in log
    ended = final(tmp_path / "straight")
    assert ended["progress"]["left_out"] == [5]
    assert all(value.isfinite().all() for value in ended["net"].values())
    assert [record["step"] for record in records(tmp_path / "straight")] == [
        *(3, 5, 6, 9, 10, 12, 12)
    ]
    for num_steps in (7, 12):
        assert main(config, tmp_path / "parts", *settings, f"loop.num_steps={num_steps}") == 0
    assert_same(ended["net"], final(tmp_path / "parts")["net"])


def test_bad_batches_without_end_are_one_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("model.batch_norm=false", f"nan_draws={[*range(16, 48)]}")
    fault = _fault(capsys, main(config, tmp_path / "run", *settings))
    assert "step 9: l1 is nan" in fault
    assert "2 such batches in a row" in fault
    assert "clips of this batch: clip36, clip37" in fault
    assert final(tmp_path / "run")["progress"]["left_out"] == [4, 5, 6, 7]


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
    assert_same(final(run_dir)["net"], final(tmp_path / "straight")["net"])


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
    assert_same(final(run_dir)["net"], final(tmp_path / "straight")["net"])
