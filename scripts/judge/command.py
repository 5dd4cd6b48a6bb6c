"""The outside judge from the command line of ``scripts/evaluate.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

from retalking.errors import ConfigError
from retalking.evaluation.command_line import EXIT_COMPLETE, EXIT_LEFT_OUT, load_config
from retalking.evaluation.judge.cast import choose_trials
from retalking.evaluation.judge.dubs import Dubber
from retalking.evaluation.judge.face_features import FaceFeatures
from retalking.evaluation.judge.judgement import Judgement
from retalking.evaluation.judge.judges import JUDGE_PYTHON, Judges
from scripts.judge.speakers import read_speakers

_SECONDS = 4.0
_STILL_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def add_judge_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``--judge`` needs."""
    group = parser.add_argument_group("outside judge of lips")
    group.add_argument("--judge", action="store_true", help="ask it instead of the suite's probes")
    group.add_argument("--judge-models", type=Path, metavar="DIR", help="weights of the judge")
    group.add_argument(
        "--judge-python", type=Path, default=JUDGE_PYTHON, help="Python of its environment"
    )
    group.add_argument("--stills", type=Path, help="photograph, or folder of them, to speak")


def judge_lips(options: argparse.Namespace) -> int:
    """Run the judge, print its table and return the exit code."""
    options.profile = options.profile or "lite"
    options.seconds = options.seconds or _SECONDS
    judges = Judges(options.judge_python, options.judge_models, options.out / "sights")
    features = FaceFeatures(options.judge_models)
    clips = options.clips / "MANIFEST.tsv" if options.clips.is_dir() else options.clips
    speakers = read_speakers(clips, options.seconds)
    trials = choose_trials(speakers, _list_stills(options.stills), options.limit)
    dubber = Dubber(load_config(options, {}), options.out / "dubs")
    settings = {"profile": options.profile, "set": options.set, "seconds": options.seconds}
    judgement = Judgement(dubber, judges, features, options.seconds, options.out)
    report = judgement.judge(trials, settings, progress=True)
    report.save(options.out)
    print(report.table(), end="")
    print(f"\nwritten to {options.out}")
    return EXIT_COMPLETE if report.passed else EXIT_LEFT_OUT


def _list_stills(path: Path | None) -> list[Path]:
    if path is None or path.is_file():
        return [path] if path else []
    found = sorted(p for p in path.glob("*") if p.suffix.lower() in _STILL_SUFFIXES)
    if not found:
        raise ConfigError(f"--stills {path}: no photograph in it")
    return found
