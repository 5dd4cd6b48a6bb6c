"""The trainers as a user starts them, at smoke size on a synthesised store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import train_audio
import train_dnet
import train_enet
import train_lips
import train_lnet
import train_syncnet
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.speech.audio_opening import AudioOpening
from models.speech.lip_shapes import LipShapeNet
from models.syncnet import SyncExpert
from retalking.training.cli import launch
from retalking.training.run_dir import RunDir
from tests.conftest import REPOSITORY

TRAINERS: dict[str, tuple[ModuleType, Any, Any]] = {
    "audio": (train_audio, train_audio.AudioTraining, AudioOpening),
    "dnet": (train_dnet, train_dnet.DNetTraining, DNet),
    "enet": (train_enet, train_enet.ENetTraining, ENet),
    "lips": (train_lips, train_lips.LipTraining, LipShapeNet),
    "lnet": (train_lnet, train_lnet.LNetTraining, LNet),
    "syncnet": (train_syncnet, train_syncnet.SyncTraining, SyncExpert),
}
CONFIGS = REPOSITORY / "configs"
SIZE_PX = 96


def start(name: str, folder: Path, data: Path, lnet_file: Path, *settings: str) -> int:
    """Run a trainer with its smoke recipe and further settings; returns the exit code."""
    torch.set_num_threads(1)
    common = [f"data.store={data}"]
    common += [] if name in ("audio", "lips") else [f"data.size_px={SIZE_PX}"]
    if name == "enet":
        common += [f"model.low_res_size_px={SIZE_PX // 4}", f"lnet={lnet_file}"]
    arguments = ["--config", str(CONFIGS / name / "smoke.yaml"), "--run_dir", str(folder)]
    for setting in (*common, *settings):
        arguments += ["--set", setting]
    module, schema, _ = TRAINERS[name]
    return launch("Train.", schema, module.train, [*arguments, "--device", "cpu"])


def final(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return the newest checkpoint of a run and its step."""
    run_dir = RunDir(folder)
    step = run_dir.saved_steps()[-1]
    return step, torch.load(run_dir.state_path(step), weights_only=True)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a nested state holds, with its place."""
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, f"{name}.{key}")
    else:
        yield name, value


def assert_same_state(one: Path, other: Path) -> None:
    """Compare the newest checkpoints of two runs bit by bit."""
    first, second = dict(leaves(final(one))), dict(leaves(final(other)))
    assert first.keys() == second.keys()
    for key, a in first.items():
        b = second[key]
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, key


def records(folder: Path, split: str) -> list[dict[str, float]]:
    """Return the metrics that a run wrote down."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]
