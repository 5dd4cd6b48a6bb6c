"""Measure dubbed videos: our own, or those that any other tool made of the same pairs.

    python scripts/evaluate.py --pairs pairs.txt --profile official --out runs/eval
    python scripts/evaluate.py --pairs pairs.txt --outputs Wav2Lip=DIR --out runs/eval
    python scripts/evaluate.py --pairs pairs.txt --profile lite --shard 2/8 --out runs/eval-2
    python scripts/evaluate.py --merge runs/eval-1 runs/eval-2 --out runs/eval
    python scripts/evaluate.py --suite lite --clips FOLDER --out runs/lite
    python scripts/evaluate.py --suite lite --judge --judge-models DIR --clips LIST --out runs/judge

A line of the list is VIDEO AUDIO, quoted as in a shell, relative to the list. Another tool's result
of line N (from 0) is DIR/N.mp4, DIR/0000N.mp4 or DIR/VIDEO__AUDIO.mp4 (names without folders and
suffixes). The same command goes on after an interruption. OUT gets report.md, report.csv,
report.json, clips.csv and plots/.

--judge asks networks that this project does not train whether lips follow the words of another,
stay still in silence and look right. They run in an environment of their own, made by
scripts/judge/setup.sh; DIR holds MediaPipe's face_landmarker.task and face-api's
face_recognition_model. OUT gets judge.md, judge.csv, judge.json, dubs/ and sheets/.

Exit code: 0 everything was measured, 1 something was left out (the report says what), 2 bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import positive, run_entry_point

from datasets.prepare.corpora import list_folder
from datasets.prepare.manifest import read_manifest
from retalking.evaluation.command_line import (
    EXIT_COMPLETE,
    EXIT_LEFT_OUT,
    LITE_NOTE,
    PROFILES,
    add_run_options,
    list_outputs,
    load_config,
    load_metrics,
    run,
    show,
)
from retalking.evaluation.lite.scene import LiteClip
from retalking.evaluation.lite.suite import run_lite_suite
from retalking.evaluation.merging import merge
from retalking.evaluation.methods import Method
from retalking.evaluation.metric_choice import METRIC_NAMES
from retalking.evaluation.pairs import read_pairs
from retalking.evaluation.report import Report
from retalking.evaluation.runner import Plan, evaluate
from retalking.inference.profiles import missing_files
from retalking.shard import Shard
from scripts.judge.command import add_judge_options, judge_lips


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--pairs", type=Path, help="list of VIDEO AUDIO")
    task.add_argument("--merge", type=Path, nargs="+", metavar="DIR", help="join shards")
    task.add_argument("--suite", choices=["lite"], help="check the embedded weights on --clips")
    parser.add_argument("--profile", choices=PROFILES, help="dub the pairs with it")
    parser.add_argument("--label", default="Ours", help="name of our method in the table")
    parser.add_argument("--clips", type=Path, help="folder of videos, or a manifest, for --suite")
    parser.add_argument("--limit", type=positive, help="use so many of the pairs or clips")
    add_judge_options(parser)
    add_run_options(parser, ",".join(METRIC_NAMES))
    options = parser.parse_args(arguments)
    if options.pairs and not (options.profile or options.outputs):
        parser.error("--pairs needs --profile, --outputs or both")
    if options.suite and not options.clips:
        parser.error("--suite needs --clips")
    if options.judge and not (options.suite and options.judge_models):
        parser.error("--judge needs --suite and --judge-models")
    if options.judge:
        return run(options, lambda: judge_lips(options))
    if options.suite:
        return run(options, lambda: _check_lite(options))
    if options.merge:
        return run(options, lambda: show(_merge(options), options.out))
    return run(options, lambda: show(_evaluate(options), options.out))


def _evaluate(options: argparse.Namespace) -> Report:
    chosen = load_metrics(options)
    methods, left_out = list_outputs(options), dict(chosen.left_out)
    if options.profile:
        config = load_config(options, {})
        missing = missing_files(config)
        if missing:
            left_out[options.label] = f"not here: {', '.join(missing)}"
        else:
            methods.insert(0, Method.from_config(options.label, config))
    plan = Plan(
        title="Evaluation",
        pairs=read_pairs(options.pairs)[: options.limit],
        methods=methods,
        metrics=chosen.metrics,
        marks=chosen.marks,
        shard=Shard.parse(options.shard),
        notes=[LITE_NOTE] if options.profile != "official" else [],
        left_out=left_out,
    )
    return evaluate(plan, options.out, progress=True)


def _merge(options: argparse.Namespace) -> Report:
    return merge(options.merge, options.out, load_metrics(options).metrics)


def _check_lite(options: argparse.Namespace) -> int:
    rows = (
        read_manifest(options.clips)
        if options.clips.is_file()
        else list_folder(options.clips, "unknown", val_every=0)
    )
    report = run_lite_suite(
        [LiteClip(row.clip, row.media, row.audio_offset_s) for row in rows],
        profile=options.profile or "small",
        overrides=options.set,
        limit=options.limit,
        seconds=options.seconds,
        device=options.device,
        progress=True,
    )
    report.save(options.out)
    print(report.table(), end="")
    return EXIT_COMPLETE if report.passed else EXIT_LEFT_OUT


if __name__ == "__main__":
    run_entry_point(main)
