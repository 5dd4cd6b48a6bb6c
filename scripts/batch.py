"""Dub many videos: networks are loaded once, and a video that several jobs show is analysed once.

    python scripts/batch.py jobs.csv --profile lite --workers 2
    python scripts/batch.py 'clips/*.mp4' --audio 'speech/{name}.wav' --outfile 'out/{name}.mp4'
    python scripts/batch.py long.yaml --split-minutes 5 --workers 8
    python scripts/batch.py jobs.csv --engine ray --address auto --workers 16 --gpus-per-worker 1

A list is a table (.csv, .tsv) or YAML with the columns face, audio, outfile, and profile or any key
of the configuration, paths relative to the list; docs/batch.md shows some. The same command goes on
after an interruption: jobs that are done are skipped, those that failed are listed, and done again
with --retry.

Exit code: 0 all jobs are done, 1 some failed (the table says why), 2 bad input.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from retalking.script import run_entry_point

from tqdm import tqdm

from retalking.batch.crew import Crew, LocalCrew
from retalking.batch.jobs import BatchJob, Configure, match_jobs, read_jobs
from retalking.batch.record import BatchRecord, Entry
from retalking.batch.schedule import Schedule
from retalking.batch.work import Outcome
from retalking.config import shorten
from retalking.errors import ConfigError
from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import PROFILES, load_profile

EXIT_FAILED = 1
_LISTS = (".csv", ".tsv", ".yaml", ".yml")
_PROFILE = "profile="


@report_mistakes("interrupted: what was done is kept; the same command goes on")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = build_parser().parse_args(arguments)
    for name in ("workers", "threads", "split_minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}: got {value:g}, expected more than 0")
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    jobs, record_path = read(options)
    if options.report:
        jobs = [
            replace(job, report=job.outfile.with_suffix(f".report.{options.report}"))
            for job in jobs
        ]
    record = BatchRecord(options.record or record_path)
    known = {number: record.find(job) for number, job in enumerate(jobs)}
    entries = {
        number: entry
        for number, entry in known.items()
        if entry is not None and not (options.retry and entry.state == "failed")
    }
    todo = [(number, job) for number, job in enumerate(jobs) if number not in entries]
    skipped = len(entries)
    if todo:
        entries |= _work(options, todo, record)
    print(_table(entries))
    failed = [entry for entry in entries.values() if entry.state == "failed"]
    print(f"{len(jobs)} jobs: {len(jobs) - len(failed)} done, {len(failed)} failed", end="")
    print(f" ({skipped} of them earlier)" if skipped else "")
    if failed and not options.retry:
        print("the same command with --retry does the failed ones again")
    return EXIT_FAILED if failed else EXIT_OK


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="batch.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("jobs", help="list of jobs, or a pattern or folder of videos")
    parser.add_argument("--audio", help="for a pattern: the speech, {name} is the video's name")
    parser.add_argument("--outfile", help="for a pattern: the result, {name} is the video's name")
    parser.add_argument("--profile", choices=PROFILES, default="auto", help="default: auto")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for all jobs; theirs win"
    )
    parser.add_argument("--record", type=Path, help="where it is kept what has come of the jobs")
    parser.add_argument(
        "--report", choices=("html", "json"), help="look at each result, and say so beside it"
    )
    parser.add_argument("--retry", action="store_true", help="do the failed jobs again")
    parser.add_argument("--verbose", action="store_true", help="more log")
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="default: local"
    )
    engine.add_argument("--workers", type=int, default=1, help="jobs at a time")
    engine.add_argument(
        "--threads", type=int, help="of torch per worker; default: those of a single job"
    )
    engine.add_argument("--address", help="of a Ray cluster; without it one is started here")
    engine.add_argument("--gpus-per-worker", type=float, default=0.0, help="of a Ray cluster")
    engine.add_argument(
        "--split-minutes",
        type=float,
        metavar="M",
        help="make longer videos in parts of so many minutes, by several workers",
    )
    return parser


def read(options: argparse.Namespace) -> tuple[list[BatchJob], Path]:
    """Return the jobs, and where their record is if no other place is given."""
    configure = _configure(options)
    path = Path(options.jobs)
    if path.suffix.lower() in _LISTS:
        if options.audio or options.outfile:
            raise ConfigError(f"{path}: a list names its own files; leave --audio, --outfile out")
        return read_jobs(path, configure), path.with_suffix(".record.jsonl")
    if not (options.audio and options.outfile):
        raise ConfigError(
            f"{path}: a pattern needs --audio and --outfile; a list ends in .csv, .yaml"
        )
    jobs = match_jobs(options.jobs, options.audio, options.outfile, configure)
    return jobs, Path("batch.record.jsonl")


def _configure(options: argparse.Namespace) -> Configure:
    known: dict[tuple[str, ...], InferenceConfig] = {}

    def configure(settings: list[str]) -> InferenceConfig:
        key = tuple(settings)
        if key not in known:
            own = [text for text in settings if text.startswith(_PROFILE)]
            others = [*options.set, *(text for text in settings if text not in own)]
            profile = own[0].removeprefix(_PROFILE) if own else options.profile
            known[key] = load_profile(profile, {}, others)
        return known[key]

    return configure


def _work(
    options: argparse.Namespace, todo: Sequence[tuple[int, BatchJob]], record: BatchRecord
) -> dict[int, Entry]:
    """Do jobs, and return what came of each."""
    entries: dict[int, Entry] = {}
    jobs = dict(todo)
    part_s = None if options.split_minutes is None else options.split_minutes * 60
    crew = _crew(options, len(todo), part_s is not None)
    with contextlib.closing(crew), tqdm(total=len(todo), desc="batch", unit="job") as bar:

        def tell(number: int, outcome: Outcome) -> None:
            entries[number] = record.add(jobs[number], outcome)
            bar.update()

        schedule = Schedule(tell)
        schedule.add(todo, part_s)
        schedule.run(crew)
    return entries


def _crew(options: argparse.Namespace, num_jobs: int, shared: bool) -> Crew:
    size = options.workers if shared else min(options.workers, num_jobs)
    if options.engine == "local":
        return LocalCrew(size, options.threads, options.verbose)
    from retalking.batch.ray_crew import RayCrew  # noqa: PLC0415 - an extra

    return RayCrew(size, options.address, options.gpus_per_worker, options.threads)


def _table(entries: dict[int, Entry]) -> str:
    width = max(len(entry.outfile) for entry in entries.values())
    lines = [f"{'outfile':{width}}  {'state':7}{'frames':>8}{'seconds':>9}"]
    for _, entry in sorted(entries.items()):
        told = f"  {shorten(entry.fault)}"
        if entry.state == "done":
            told = f"{entry.num_frames:8d}{entry.seconds:9.1f}  {shorten(entry.verdict)}"
        lines.append(f"{entry.outfile:{width}}  {entry.state:7}{told}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
