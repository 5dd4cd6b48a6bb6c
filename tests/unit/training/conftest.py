"""A configuration of the toy trainer, and processes that start at once."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.toy_trainer import CONFIG


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
