"""What a real trainer survives; tests/unit/training/test_faults.py shows the same of the loop.

That it is killed by SIGKILL and continued is in test_exactness.py.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from datasets.store.format import TRACKS, part_path
from datasets.store.reader import Store
from retalking.training.run_dir import RunDir, own_run_dir
from tests.e2e.conftest import Run
from tests.e2e.training.trainers import SIZE_PX, assert_same_state, final, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

STEPS = 4


@pytest.fixture
def own_store(training_store: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return shutil.copytree(training_store, tmp_path / "store")


def names(store: Path, split: str) -> list[str]:
    index = Store(store).index
    return [name.decode() for name in index["clip"][index["split"] == split.encode()]]


def log_of(folder: Path) -> str:
    return (folder / "log.txt").read_text(encoding="utf-8")


def test_damaged_pictures_are_replaced(run: Run, own_store: Path, tmp_path: Path) -> None:
    broken = names(own_store, "train")[:3]
    for name in broken:
        path = part_path(own_store, f"lips_{SIZE_PX}", name)
        data = bytearray(path.read_bytes())
        data[-len(data) // 2 :] = bytes(len(data) - len(data) // 2)  # half of its JPEGs are empty
        path.write_bytes(bytes(data))
    assert run("lnet", tmp_path / "run", data=own_store) == 0
    assert final(tmp_path / "run")[0] == STEPS
    log = log_of(tmp_path / "run")
    assert "a sample was replaced" in log
    assert any(name in log for name in broken)


def test_a_batch_that_is_not_a_number_is_left_out(
    run: Run, own_store: Path, tmp_path: Path
) -> None:
    """Of one clip in six the speech is NaN, as after an overflow in preparation."""
    poor = names(own_store, "train")[0]
    path = part_path(own_store, TRACKS, poor)
    with safetensors.safe_open(path, "np") as file:
        notes = file.metadata()
    tracks = safetensors.numpy.load_file(path)
    tracks["mel"] = np.full_like(tracks["mel"], np.nan)
    safetensors.numpy.save_file(tracks, path, notes)
    patient = ("loop.num_steps=12", "loop.tolerance.bad_batches=12", "loop.validate_every=12")
    assert run("lnet", tmp_path / "run", *patient, data=own_store) == 0
    _, state = final(tmp_path / "run")
    assert state["progress"]["left_out"]
    assert all(bool(value.isfinite().all()) for value in state["net"].values())
    assert f"{poor}" in log_of(tmp_path / "run").split("clips of this batch: ")[1].split("\n")[0]
    losses = [record["l1"] for record in records(tmp_path / "run", "train") if "l1" in record]
    assert np.isfinite(losses).all()


def test_a_killed_loader_process_is_replaced(run: Run, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for process in multiprocessing.active_children():
                process.kill()
                killed.append(process.pid or 0)
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert run("lnet", tmp_path / "workers", "loop.num_workers=1") == 0
    killer.join()
    assert killed
    assert "loader" in log_of(tmp_path / "workers")
    assert run("lnet", tmp_path / "straight") == 0
    assert_same_state(tmp_path / "workers", tmp_path / "straight")


def test_a_moved_store_is_the_same_store(run: Run, own_store: Path, tmp_path: Path) -> None:
    assert run("lnet", tmp_path / "run", "loop.num_steps=2", data=own_store) == 0
    faster = own_store.rename(tmp_path / "faster_disk")
    assert run("lnet", tmp_path / "run", data=faster) == 0
    assert final(tmp_path / "run")[0] == STEPS


def test_another_store_is_refused(
    run: Run, own_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lnet", tmp_path / "run", "loop.num_steps=2", data=own_store) == 0
    index = np.load(own_store / "index.npy")
    np.save(own_store / "index.npy", index[1:])
    assert run("lnet", tmp_path / "run", data=own_store) == 2
    assert "its content is not what it was" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run("lnet", folder, "loop.num_steps=2") == 0
    kept = {file: file.read_bytes() for file in folder.glob("state-*")}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # as a full disk, to the kernel
    try:
        assert run("lnet", folder) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in folder.glob("state-*")} == kept
    assert run("lnet", folder) == 0
    assert final(folder)[0] == STEPS


def test_a_second_start_in_the_folder_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_run_dir(tmp_path / "run"):
        assert run("lnet", tmp_path / "run") == 2
    assert "trains in this run folder" in capsys.readouterr().err
    assert RunDir(tmp_path / "run").saved_steps() == []
    assert run("lnet", tmp_path / "run") == 0
