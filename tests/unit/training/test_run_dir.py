"""The run folder: names, pruning, withdrawn records, curves and pictures, checkpoint files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from retalking.config import Schema
from retalking.errors import ConfigError, RetalkingError, WeightsError
from retalking.training.record.recorder import open_recorder
from retalking.training.run_dir import RunDir, open_run_dir
from retalking.training.state import load_state, save_state


class Config(Schema):
    rate: float
    steps: int


def test_names_and_saved_steps(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    assert folder.weights_path(700).name == "weights-00000700.safetensors"
    assert folder.weights_path("best").name == "weights-best.safetensors"
    for step in (900, 20):
        folder.state_path(step).touch()
    (tmp_path / "state-oops.pt").touch()
    assert folder.saved_steps() == [20, 900]


def test_prune_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    for step in (1, 2, 3):
        folder.state_path(step).touch()
        folder.weights_path(step).touch()
    folder.weights_path(1).unlink()  # a kill between two deletions
    folder.weights_path("best").touch()
    for step in (1, 2):
        (tmp_path / f"critic-0000000{step}.safetensors").touch()
    folder.prune(keep_last=2)
    assert folder.saved_steps() == [2, 3]
    assert sorted(file.name for file in tmp_path.glob("weights-*")) == [
        "weights-00000002.safetensors",
        "weights-00000003.safetensors",
        "weights-best.safetensors",
    ]
    assert [file.name for file in tmp_path.glob("critic-*")] == ["critic-00000002.safetensors"]


def test_configuration_is_kept_and_compared(tmp_path: Path) -> None:
    run = tmp_path / "a" / "run"
    assert open_run_dir(run, Config(rate=1e-5, steps=3), {"steps"}) == []
    assert open_run_dir(run, Config(rate=1e-5, steps=4), {"steps"}) == ["steps: was 3, now 4"]
    with pytest.raises(ConfigError, match=r"run was begun with .*rate: was 1e-05, now 0\.1; "):
        open_run_dir(run, Config(rate=0.1, steps=4), {"steps"})
    (run / "config.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="damaged"):
        open_run_dir(run, Config(rate=0.1, steps=4), ())


def test_unfinished_files_are_cleared(tmp_path: Path) -> None:
    for name in (".retalking-0a.part.pt", ".weights-1.safetensors.77.part"):
        (tmp_path / name).touch()
    open_run_dir(tmp_path, Config(rate=1, steps=1), ())
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["changes.jsonl", "config.yaml", "contents.json"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RetalkingError, match="file/run: cannot be written: Not a directory"):
        open_run_dir(tmp_path / "file" / "run", Config(rate=1, steps=1), ())


def test_state_comes_back_and_misfits_are_named(tmp_path: Path) -> None:
    file = tmp_path / "state-1.pt"
    net = nn.Linear(2, 3)
    save_state(file, {"net": net})
    other = nn.Linear(2, 3)
    load_state(file, {"net": other})
    assert torch.equal(net.weight, other.weight)
    with pytest.raises(WeightsError, match="holds net; expected ema, net"):
        load_state(file, {"net": net, "ema": net})
    with pytest.raises(WeightsError, match=r"state-1\.pt: net does not fit: .*size mismatch"):
        load_state(file, {"net": nn.Linear(4, 4)})


class Inputs(Schema):
    store: Path
    init: Path | None


def _make_store(folder: Path, parts: int = 1) -> Path:
    folder.mkdir()
    np.save(folder / "index.npy", np.array([(b"a", parts)], [("clip", "S4"), ("parts", "<u8")]))
    return folder


def test_paths_may_move_but_not_their_contents(tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "weights.pth"
    weights.write_bytes(b"weights")
    slow = _make_store(tmp_path / "slow")
    open_run_dir(run, Inputs(store=slow, init=weights), ())
    fast, copy = slow.rename(tmp_path / "fast"), weights.rename(tmp_path / "copy.pth")
    moved = Inputs(store=fast, init=copy)
    changes = open_run_dir(run, moved, ())
    assert [change.split(":")[0] for change in changes] == ["store", "init"]
    assert len((run / "changes.jsonl").read_text().splitlines()) == 2

    _make_store(tmp_path / "fuller", parts=3)  # more was prepared for the same clips
    assert open_run_dir(run, Inputs(store=tmp_path / "fuller", init=copy), ())
    copy.write_bytes(b"other weights")
    with pytest.raises(ConfigError, match=r"init: its content is not what it was"):
        open_run_dir(run, Inputs(store=tmp_path / "fuller", init=copy), ())
    assert open_run_dir(run, Inputs(store=tmp_path / "fuller", init=copy), (), ["init"])


def test_flipped_bits_in_a_state_are_found_or_mean_nothing(tmp_path: Path) -> None:
    file, net = tmp_path / "state-1.pt", nn.Linear(40, 40)
    save_state(file, {"net": net})
    whole, right = file.read_bytes(), net.state_dict()
    rng = np.random.default_rng(0)
    num_found = 0
    for place in rng.integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        other = nn.Linear(40, 40)
        try:
            load_state(file, {"net": other})
        except WeightsError:
            num_found += 1
        else:
            assert all(
                torch.equal(right[name], value) for name, value in other.state_dict().items()
            )
    assert num_found > 200


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"\xff"])
def test_damaged_records_are_named_or_withdrawn(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with open_recorder(tmp_path, 0):
        pass
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    (tmp_path / "environment.json").write_bytes(content)
    with (
        pytest.raises(RetalkingError, match=r"environment\.json: damaged; delete it"),
        open_recorder(tmp_path, 0),
    ):
        pass
