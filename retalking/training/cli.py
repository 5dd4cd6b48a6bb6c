"""The command line that the four trainers share."""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, get_args

import torch

from retalking.config import load_config
from retalking.exit_code import report_mistakes
from retalking.networks.device import DeviceName
from retalking.training.distributed import join_ranks, seed_everything
from retalking.training.loop import Job, TrainingConfig

Config = TypeVar("Config", bound=TrainingConfig)


@report_mistakes()
def launch(
    description: str,
    schema: type[Config],
    train: Callable[[Config, Job], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the command line, read the configuration, join the ranks and train.

    Args:
        description: first line of ``--help``.
        schema: the trainer's configuration.
        train: builds everything and calls ``retalking.training.loop.run``; the random state is set.
        arguments: command line, ``sys.argv`` by default.

    Returns:
        Exit code: 0 after the last step or a signal, 2 after a mistake that the user can fix, which
        is printed in one line.
    """
    options = _read_options(description, arguments)
    if options.init is not None:
        options.set.append(f"init={json.dumps(str(options.init), ensure_ascii=False)}")
    config = load_config(schema, options.config, options.set)
    with join_ranks(options.device) as ranks, _place(options) as folder:
        logging.basicConfig(format="%(message)s")
        logging.getLogger().setLevel(logging.INFO if ranks.is_main else logging.WARNING)
        if options.dry_run:
            loop = config.loop.model_copy(update={"num_steps": 1})
            config = config.model_copy(update={"loop": loop})
        _choose_algorithms(config.compute.deterministic)
        seed_everything(config.loop.seed)
        train(config, Job(folder, ranks, tuple(options.allow_change)))
    return 0


def _read_options(description: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="YAML file, see configs/")
    parser.add_argument("--run-dir", "--run_dir", type=Path, help="folder to begin or to continue")
    parser.add_argument("--init", type=Path, help="weights to begin with, official or our own")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, such as --set loop.batch_size=8; may be repeated",
    )
    parser.add_argument(
        "--allow-change",
        action="append",
        default=[],
        metavar="KEY",
        help="continue although this setting differs from the run folder's; may be repeated",
    )
    parser.add_argument("--device", choices=get_args(DeviceName), default="auto")
    parser.add_argument(
        "--dry-run",
        "--dry_run",
        action="store_true",
        help="make one update, one validation and one checkpoint, and leave nothing behind",
    )
    options = parser.parse_args(arguments)
    if options.run_dir is None and not options.dry_run:
        parser.error("--run-dir is needed, except with --dry-run")
    return options


@contextmanager
def _place(options: argparse.Namespace) -> Iterator[Path]:
    if not options.dry_run:
        yield options.run_dir
        return
    with tempfile.TemporaryDirectory(prefix="retalking-dry-run-") as folder:
        yield Path(folder)


def _choose_algorithms(deterministic: bool) -> None:
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        # cuBLAS reads it when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
