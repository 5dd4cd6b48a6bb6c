"""What a finished run left behind, and how two runs compare."""

from __future__ import annotations

import json
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from retalking.training.run_dir import RunDir


def final(run_dir: Path) -> dict[str, Any]:
    folder = RunDir(run_dir)
    return torch.load(folder.state_path(folder.saved_steps()[-1]), weights_only=True)


def records(run_dir: Path) -> list[dict[str, Any]]:
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [record for line in lines if (record := json.loads(line))["split"] != "speed"]


def assert_same(a: Any, b: Any, where: str = "", tolerance: float = 0.0) -> None:
    """Compare nested states; bitwise without a tolerance."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}", tolerance)
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for index, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}[{index}]", tolerance)
    elif tolerance and isinstance(a, (torch.Tensor, float)):
        difference = float((torch.as_tensor(a) - torch.as_tensor(b)).abs().max())
        assert difference <= tolerance, f"{where}: {difference}"
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def assert_same_run(a: Path, b: Path, tolerance: float = 0.0) -> None:
    assert_same(final(a), final(b), "state", tolerance)
    assert_same(records(a), records(b), "metrics", tolerance)
    best = "weights-best.safetensors"
    loaded = [safetensors.torch.load_file(folder / best) for folder in (a, b)]
    assert_same(*loaded, best, tolerance)


def steps_logged(run_dir: Path) -> int:
    file = run_dir / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


def wait_for_step(step: int, run_dir: Path, process: BaseProcess) -> None:
    deadline = time.monotonic() + 60
    while steps_logged(run_dir) < step:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
