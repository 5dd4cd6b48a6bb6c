"""Prepare a store for training from a manifest, or from any folder of videos.

    python -m scripts.prepare.clips --manifest clips.tsv --out STORE --workers 8
    python -m scripts.prepare.clips --videos FOLDER --licence "my own" --out STORE

The same command goes on after an interruption. In a folder of videos the name of the folder that
holds a video is taken for the person seen, and every ``--val-every``-th person for validation; of
one person alone some videos, or the end of the only one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

from datasets.prepare.corpora import list_folder
from datasets.prepare.manifest import ClipRow, read_manifest
from datasets.prepare.settings import PreparationSettings
from datasets.prepare.store import Outcome, prepare_store, summarise
from retalking.config import load_config
from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.locations import CONFIGS
from retalking.shard import Shard
from scripts.prepare.engine import add_engine_options, do_shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--manifest", type=Path, help="TSV or CSV, see datasets/prepare/manifest.py"
    )
    source.add_argument("--videos", type=Path, help="folder of videos")
    parser.add_argument("--licence", default="unknown", help="of the videos in --videos")
    parser.add_argument("--val-every", type=int, default=20, help="persons per one for validation")
    add_store_options(parser, "clips.yaml")
    options = parser.parse_args(arguments)

    def list_rows() -> list[ClipRow]:
        if options.manifest:
            return read_manifest(options.manifest)
        return list_folder(options.videos, options.licence, options.val_every)

    return run(options, list_rows)


def add_store_options(parser: argparse.ArgumentParser, config: str) -> None:
    """Add the options that all preparing scripts share.

    Args:
        parser: of the script.
        config: file of ``configs/prepare`` whose values hold where no option is given.
    """
    parser.set_defaults(config=CONFIGS / "prepare" / config)
    parser.add_argument("--out", type=Path, required=True, help="folder of the store")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--retry", action="store_true", help="try rows again that were left out before"
    )
    add_engine_options(parser)
    settings = parser.add_argument_group(f"settings (default: as in configs/prepare/{config})")

    def add(flag: str, **details: Any) -> None:
        settings.add_argument(flag, default=argparse.SUPPRESS, **details)

    add("--face-analysis", choices=("lite", "official", "retinaface"), help="finder of faces")
    add("--lips", dest="lips_px", type=int, nargs="*", metavar="PX", help="lip crops to store")
    add("--stabiliser", dest="stabiliser_px", type=int, nargs="*", metavar="PX", help="of D-Net")
    add("--max-gap", dest="max_gap_s", type=float, metavar="S", help="gaps of a face to bridge")
    add("--min-frames", type=int, help="shortest run of a face")
    add("--keep-audio", action="store_true", help="store 16 kHz samples too")
    add("--silent", dest="needs_speech", action="store_false", help="take clips without speech too")
    add("--stabiliser-extent", choices=("ffhq", "frame"), help="frame: videos are cropped already")
    add("--max-outside", type=float, metavar="SHARE", help="of D-Net's crop, beyond the frame")
    add("--offset-from", choices=("loudness", "speech"), help="what tells how lips are off")
    add("--no-correct-offset", dest="correct_offset", action="store_false", help="only note it")
    add("--min-speech-fit", type=float, metavar="R", help="of lips and speech, with speech")
    add(
        "--max-offset",
        dest="max_offset_s",
        type=float,
        metavar="S",
        help="drop clips whose lips and speech are further apart; 0: no check",
    )


@report_mistakes("interrupted; the same command goes on")
def run(options: argparse.Namespace, list_rows: Callable[[], Sequence[ClipRow]]) -> int:
    """Prepare a store, print the account, and return the exit code."""
    rows = list_rows()
    if options.workers < 0:
        raise ConfigError(f"--workers: got {options.workers}, expected 0 or more")
    given = [
        f"{name}={json.dumps(value)}"
        for name, value in vars(options).items()
        if name in PreparationSettings.model_fields
    ]
    settings = load_config(PreparationSettings, options.config, given)
    prepare = partial(_prepare_share, options.out, rows, settings, options.workers, options.retry)
    *_, outcomes = do_shares(options, prepare, max(options.workers, 1))
    if options.engine == "ray":  # of shares that end at the same time none may know of all
        outcomes = prepare_store(options.out, rows, settings, options.workers, _Reporter(len(rows)))
    print_account(options.out, outcomes)
    return 0 if any(outcome.clips for outcome in outcomes) else 2


def _prepare_share(
    folder: Path,
    rows: Sequence[ClipRow],
    settings: PreparationSettings,
    num_workers: int,
    retry: bool,
    shard: Shard,
) -> list[Outcome]:
    report = _Reporter(len(shard.of(rows)))
    return prepare_store(folder, rows, settings, num_workers, report, shard, retry)


class _Reporter:
    """Prints what is left out at once, and how far the work is now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begin = self._printed = time.monotonic()

    def __call__(self, outcome: Outcome, num_done: int) -> None:
        if outcome.reason:
            print(f"left out: {outcome.reason}", flush=True)
        now = time.monotonic()
        if now - self._printed > 10 or num_done == self._total:
            self._printed = now
            print(f"{num_done}/{self._total} in {now - self._begin:.0f} s", flush=True)


def print_account(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Print how many clips were prepared and how many were left out for which reason."""
    reasons: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.reason:
            text = summarise(outcome.reason)
            reasons[text] = reasons.get(text, 0) + 1
    num_frames = sum(outcome.num_frames for outcome in outcomes)
    print(
        f"{folder}: {sum(len(o.clips) for o in outcomes)} clips from {len(outcomes)} rows, "
        f"{num_frames} frames ({num_frames / 25 / 3600:.2f} h), "
        f"{sum(o.num_bytes for o in outcomes) / 2**20:.0f} MiB; details in report.json"
    )
    for text, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"left out {count}: {text}")


if __name__ == "__main__":
    run_entry_point(main)
