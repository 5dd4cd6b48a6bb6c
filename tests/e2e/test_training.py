"""The trainers as a user runs them, at smoke size on a synthesised store."""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import train_audio
import train_dnet
import train_enet
import train_lnet
import train_syncnet
from datasets.store import Store
from datasets.store_format import TRACKS, write_part
from models import weights
from models.audio_opening import AudioOpening
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.syncnet import SyncExpert
from retalking.config import load_config
from retalking.launch import launch
from retalking.run_dir import RunDir
from tests.conftest import REPOSITORY
from tests.stores import write_store

TRAINERS: dict[str, tuple[ModuleType, Any, Any]] = {
    "audio": (train_audio, train_audio.AudioTraining, AudioOpening),
    "dnet": (train_dnet, train_dnet.DNetTraining, DNet),
    "enet": (train_enet, train_enet.ENetTraining, ENet),
    "lnet": (train_lnet, train_lnet.LNetTraining, LNet),
    "syncnet": (train_syncnet, train_syncnet.SyncTraining, SyncExpert),
}
CONFIGS = REPOSITORY / "configs"
SIZE_PX = 96
EIGHT = ("loop.batch_size=8",)  # batch norm needs more than two
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    threads, level = torch.get_num_threads(), logging.getLogger().level
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store", num_clips=7, size_px=SIZE_PX)


@pytest.fixture(scope="module")
def lnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(train_lnet.LNetTraining, CONFIGS / "lnet" / "smoke.yaml")
    path = tmp_path_factory.mktemp("weights") / "lnet.safetensors"
    weights.save(path, LNet(config.model))
    return path


@pytest.fixture
def run(store: Path, lnet_file: Path) -> Run:
    """Run a trainer with its smoke recipe and further settings; returns the exit code."""

    def run_trainer(name: str, folder: Path, *settings: str, data: Path = store) -> int:
        return start(name, folder, data, lnet_file, *settings)

    return run_trainer


def start(name: str, folder: Path, data: Path, lnet_file: Path, *settings: str) -> int:
    torch.set_num_threads(1)
    common = [f"data.store={data}"]
    common += [] if name == "audio" else [f"data.size_px={SIZE_PX}"]
    if name == "enet":
        common += [f"model.low_res_size_px={SIZE_PX // 4}", f"lnet={lnet_file}"]
    arguments = ["--config", str(CONFIGS / name / "smoke.yaml"), "--run_dir", str(folder)]
    for setting in (*common, *settings):
        arguments += ["--set", setting]
    module, schema, _ = TRAINERS[name]
    return launch("Train.", schema, module.train, [*arguments, "--device", "cpu"])


def start_rank(rank: int, port: int, *arguments: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    sys.exit(start(*arguments))


def _final(folder: Path) -> tuple[int, dict[str, Any]]:
    run_dir = RunDir(folder)
    step = run_dir.saved_steps()[-1]
    return step, torch.load(run_dir.state_path(step), weights_only=True)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, f"{name}.{key}")
    else:
        yield name, value


def _assert_same_state(one: Path, other: Path) -> None:
    first, second = dict(_leaves(_final(one))), dict(_leaves(_final(other)))
    assert first.keys() == second.keys()
    for key, a in first.items():
        b = second[key]
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, key


def _records(folder: Path, split: str) -> list[dict[str, float]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]


@pytest.mark.parametrize("name", TRAINERS)
def test_interrupted_and_continued_is_the_same_as_straight(
    name: str, run: Run, tmp_path: Path
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run(name, straight) == 0
    assert run(name, broken, "loop.num_steps=2") == 0
    assert run(name, broken) == 0
    assert _final(straight)[0] == 4
    _assert_same_state(straight, broken)
    for split in ("train", "validation"):
        assert _records(straight, split) == _records(broken, split)
    weights.load(RunDir(straight).weights_path("best"), TRAINERS[name][2])


@pytest.mark.parametrize(
    ("name", "metric", "share", "settings"),
    [
        ("audio", "loss", 0.3, ("disturb={noise: 0, gain: 0, masked_bands: 0}", *EIGHT)),
        ("dnet", "l1", 0.5, ("warp_steps=0",)),
        ("enet", "l1", 0.5, ("loss.adversarial=0",)),
        ("lnet", "l1", 0.5, ()),
        ("syncnet", "loss", 0.5, ("model.base_channels=4", *EIGHT)),
    ],
)
def test_one_batch_is_learnt_by_heart(
    name: str,
    metric: str,
    share: float,
    settings: tuple[str, ...],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = TRAINERS[name][0].read_batches

    def read_same(*arguments: Any) -> Iterator[Any]:
        yield from itertools.repeat(next(read(*arguments)))

    monkeypatch.setattr(TRAINERS[name][0], "read_batches", read_same)
    cadence = ("loop.num_steps=40", "loop.log_every=1", "loop.validate_every=40")
    rate = ("optimizer.learning_rate=1e-2", "loop.save_every=40")
    assert run(name, tmp_path / "run", *cadence, *rate, *settings) == 0
    losses = [record[metric] for record in _records(tmp_path / "run", "train")]
    assert np.mean(losses[-5:]) < share * losses[0]


def test_workers_change_nothing(run: Run, tmp_path: Path) -> None:
    assert run("lnet", tmp_path / "none", "loop.num_steps=2") == 0
    assert run("lnet", tmp_path / "two", "loop.num_steps=2", "loop.num_workers=2") == 0
    _assert_same_state(tmp_path / "none", tmp_path / "two")


@pytest.mark.parametrize("name", ["dnet", "lnet"])
def test_two_processes_equal_one(name: str, run: Run, tmp_path: Path, store: Path) -> None:
    """E-Net's noise differs by rank; the expert's batch norms blow up rounding of flat pictures."""
    # Biases before a batch norm have no gradient but rounding noise, which Adam blows up: what is
    # the same is not every weight but every loss.
    settings = (
        "loop.num_steps=2",
        "loop.batch_size=4",
        "loop.log_every=1",
        "optimizer.learning_rate=1e-4",
    )
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.e2e.test_training"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (name, tmp_path / "two", store, tmp_path, *settings)
    ranks = [
        processes.Process(target=start_rank, args=(rank, port, *arguments)) for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    assert run(name, tmp_path / "one", *settings) == 0
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    for split in ("train", "validation"):
        one, two = (
            [record["l1"] for record in _records(tmp_path / folder, split)]
            for folder in ("one", "two")
        )
        assert len(one) > 0
        assert one == pytest.approx(two, abs=1e-5)


def test_all_teachers_together(run: Run, tmp_path: Path, lnet_file: Path) -> None:
    """The expert judges five frames, and the features of the landmark network the picture."""
    assert run("syncnet", tmp_path / "expert", "loop.num_steps=2") == 0
    expert = RunDir(tmp_path / "expert").weights_path("best")
    settings = (
        "data.num_frames=5",
        f"sync_expert={expert}",
        "loss.sync=0.3",
        "loss.sync_threshold=100",
        "perceptual=face_features",
        f"perceptual_weights={REPOSITORY / 'checkpoints/lite/landmarks.safetensors'}",
        "loss.perceptual=1",
        f"init={lnet_file}",
        "compute.accumulate=2",
    )
    assert run("lnet", tmp_path / "lnet", *settings) == 0
    first, second = _records(tmp_path / "lnet", "train")
    without_sync = {"l1": 1, "gradient_l1": 1, "perceptual": 1}
    # The schedule switches the sync term on after the validation at step 2.
    for record, factors in ((first, without_sync), (second, {**without_sync, "sync": 0.3})):
        total = sum(factor * record[name] for name, factor in factors.items())
        assert record["total"] == pytest.approx(total, rel=1e-5)
    assert 0 <= _records(tmp_path / "lnet", "validation")[0]["sync_probability"] <= 1


def test_lnet_begins_with_the_warm_audio_encoder(run: Run, tmp_path: Path) -> None:
    assert run("audio", tmp_path / "audio", "loop.num_steps=2") == 0
    warm = RunDir(tmp_path / "audio").weights_path("best")
    settings = (f"audio_encoder={warm}", "frozen_audio_steps=2", "loop.num_steps=2")
    assert run("lnet", tmp_path / "lnet", *settings) == 0
    made = weights.load(RunDir(tmp_path / "lnet").weights_path(2), LNet).audio_encoder
    for key, value in weights.load(warm, AudioOpening).audio_encoder.state_dict().items():
        torch.testing.assert_close(made.state_dict()[key], value, msg=key)


def test_dnet_moves_the_editing_network_in_stage_2_only(run: Run, tmp_path: Path) -> None:
    cadence = ("loop.log_every=1", "loop.save_every=1", "loop.keep_last=4")
    assert run("dnet", tmp_path / "run", "warp_steps=2", *cadence) == 0
    losses = [record["l1"] for record in _records(tmp_path / "run", "train")]
    assert losses[:2] == [0, 0]
    assert min(losses[2:]) > 0
    states = [
        torch.load(RunDir(tmp_path / "run").state_path(step), weights_only=True)["net"]
        for step in (1, 2, 3)
    ]

    pairs = list(itertools.pairwise(states))

    def moved(part: str) -> list[bool]:
        keys = [key for key in states[0] if key.startswith(part)]
        return [any(not torch.equal(a[k], b[k]) for k in keys) for a, b in pairs]

    assert moved("warpping_net") == [True, True]
    assert moved("editing_net") == [False, True]


@pytest.mark.parametrize(
    ("name", "setting", "line"),
    [
        ("lnet", "loss.sink=1", "loss.sink: unknown key; closest: loss.sync"),
        ("lnet", "model.widht=1", "model.widht: got 1; Unexpected keyword argument"),
        ("lnet", "data.splits={test: 1, train: 0}", "left by the condition split in test"),
        ("lnet", "data.num_frames=99", "left by the condition at least 198 frames"),
        ("lnet", "loop.best_metric=lpips", "expected one of the validation metrics"),
        ("lnet", "init=none.pth", "none.pth"),
        ("lnet", "audio_encoder=none.safetensors", "none.safetensors"),
        ("lnet", "sync_expert=none.pth", "or set 'sync_expert: null'"),
        ("lnet", "perceptual=vgg19", "perceptual_weights: got null, expected the file of vgg19"),
        ("dnet", "data.augment.flip=0.5", "augment.flip: got 0.5, expected 0"),
        ("enet", "arcface=none.pth", "or set 'arcface: null'"),
        ("enet", "lnet=null", "lnet: got null, expected the weights of a trained L-Net"),
        ("syncnet", "data.positive_share=2", "data.positive_share: got 2"),
    ],
)
def test_a_mistake_is_one_line(
    name: str, setting: str, line: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, tmp_path / "run", setting) == 2
    printed = capsys.readouterr().err.splitlines()
    errors = [text for text in printed if text.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0]
    assert not (tmp_path / "run").exists() or not RunDir(tmp_path / "run").saved_steps()


def test_absent_vgg19_names_the_switch(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("perceptual=vgg19", f"perceptual_weights={tmp_path / 'vgg19.pth'}")
    assert run("lnet", tmp_path / "run", *settings) == 2
    assert "set 'perceptual: none'" in capsys.readouterr().err


def test_nan_stops_the_run_with_the_names_of_the_clips(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_store(tmp_path / "store", num_clips=2, size_px=SIZE_PX)
    clip = Store(folder).clip(0)
    arrays = {name: clip.array(TRACKS, name) for name in clip.array_names(TRACKS)}
    arrays["mel"] = np.full_like(arrays["mel"], np.nan)
    write_part(folder, TRACKS, clip.name, arrays, clip.notes())
    assert run("lnet", tmp_path / "run", data=folder) == 2
    printed = capsys.readouterr().err
    assert "is nan" in printed
    assert "clips of this batch: clip000, clip000" in printed
    assert RunDir(tmp_path / "run").saved_steps() == []


@pytest.mark.parametrize("name", TRAINERS)
def test_every_recipe_fits_its_schema(name: str) -> None:
    for path in sorted((CONFIGS / name).glob("*.yaml")):
        load_config(TRAINERS[name][1], path)
