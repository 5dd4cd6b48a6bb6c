"""What the command lines of ``scripts/evaluate.py`` and ``reproduce_tables.py`` share."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from retalking.errors import ConfigError
from retalking.evaluation.methods import Method
from retalking.evaluation.metric_choice import MetricChoice, choose_metrics
from retalking.evaluation.report import Report
from retalking.exit_code import report_mistakes
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile
from retalking.networks.device import DeviceName, choose_device
from retalking.terminal import log_to_terminal

EXIT_COMPLETE, EXIT_LEFT_OUT = 0, 1
PROFILES = ("official", "lite", "small")
LITE_NOTE = "Measured with this repository's own weights: these are not the paper's figures."


def add_run_options(parser: argparse.ArgumentParser, metrics: str | None) -> None:
    """Add the options that both evaluating scripts share."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--outputs",
        action="append",
        default=[],
        metavar="METHOD=DIR",
        help="results of another tool; may be repeated",
    )
    parser.add_argument(
        "--metrics",
        default=metrics,
        help=f"with commas between; default: {metrics or 'those of the table'}",
    )
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a metric's network, by its name in checkpoints/weights.toml",
    )
    parser.add_argument("--shard", default="1/1", help="do the share 2/8 of the list")
    parser.add_argument("--seconds", type=float, help="of each result")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any value of the profile"
    )
    parser.add_argument("--checkpoints", type=Path, help="folder of the profile's weight files")
    parser.add_argument("--device", choices=get_args(DeviceName), default="auto")
    parser.add_argument("--verbose", action="store_true", help="more log")


@report_mistakes("interrupted: what was done is kept; run the same command again")
def run(options: argparse.Namespace, work: Callable[[], int]) -> int:
    """Do the work; errors that the user can fix become one line and exit code 2."""
    log_to_terminal(logging.INFO if options.verbose else logging.WARNING)
    return work()


def load_config(options: argparse.Namespace, changes: Mapping[str, object]) -> InferenceConfig:
    """Return the profile of ``--profile`` with the command line's values, and with changes.

    The changes come last, even after ``--set``: they make the difference between rows of a table.
    """
    values = {"device": options.device, "max_seconds": options.seconds}
    if options.checkpoints is not None:
        values["checkpoints"] = options.checkpoints
    changed = [f"{name}={json.dumps(value)}" for name, value in changes.items()]
    return load_profile(options.profile, values, [*options.set, *changed])


def load_metrics(options: argparse.Namespace) -> MetricChoice:
    """Load the metrics of ``--metrics`` whose weights are here."""
    files = {name: Path(file) for name, file in split_entries(options.weights, "--weights")}
    names = dict.fromkeys(name.strip() for name in options.metrics.split(",") if name.strip())
    return choose_metrics(list(names), files, choose_device(options.device))


def list_outputs(options: argparse.Namespace) -> list[Method]:
    """Return the other tools of ``--outputs``."""
    return [
        Method.from_folder(label, Path(folder), options.seconds)
        for label, folder in split_entries(options.outputs, "--outputs")
    ]


def split_entries(entries: Sequence[str], flag: str) -> list[tuple[str, str]]:
    """Split ``NAME=VALUE`` texts.

    Raises:
        ConfigError: one has no name or no value.
    """
    split = [entry.partition("=") for entry in entries]
    for entry, (name, _, value) in zip(entries, split, strict=True):
        if not name or not value:
            raise ConfigError(f"{flag} {entry}: expected NAME=VALUE")
    return [(name, value) for name, _, value in split]


def show(report: Report, folder: Path) -> int:
    """Print a report and return the exit code that tells whether anything was left out."""
    print(report.markdown(), end="")
    print(f"\nwritten to {folder}")
    return EXIT_COMPLETE if report.is_complete else EXIT_LEFT_OUT
