"""Jobs of ``scripts/benchmark.py`` in processes of their own, by turns, alone and beside others."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from retalking.errors import ConfigError
from retalking.locations import REPOSITORY

Row = dict[str, object]

_WHOLE_JOB = "whole job"
_COLUMNS = {
    "ms {when}, {beside}": ("ms per frame", False),
    "core ms {when}": ("core ms per frame", True),
    "MB {when}": ("peak MB so far", True),
}
"""Titles of a comparison; of what each tells, and whether other work is left out of it."""
_WAITING = {
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    # What GNU's runtime does if OMP_WAIT_POLICY is not set; this variable outweighs that one.
    "spinning": {"GOMP_SPINCOUNT": "300000"},
}


def compare_waiting(options: Sequence[str]) -> list[Row]:
    """Dub beside other work and without; one row per way in which threads wait."""
    rows: list[Row] = []
    for name, environment in _WAITING.items():
        row: Row = {"threads that wait": name}
        for beside, num_programs in _company().items():
            with _other_work(num_programs):
                job = _run_job(REPOSITORY, options, environment)
            row[f"ms per frame {beside}"] = job[_WHOLE_JOB]["ms per frame"]
        rows.append(row)
    return rows


def compare_checkouts(other: Path, options: Sequence[str], rounds: int) -> list[Row]:
    """Dub by turns with another checkout and with this one, alone and beside other work.

    Args:
        other: the checkout to compare with.
        options: of the job.
        rounds: repetitions, of which the medians count.

    Returns:
        One row per stage, and one of the whole job: what computes it, milliseconds a frame that
        passed, those of a core, and the most memory until it ended. Of a stage the core is that of
        its own thread; of the job, all threads count, and the start of the program.

    Raises:
        ConfigError: the folder holds no checkout, or a job failed.
    """
    if not (other / "scripts" / "benchmark.py").is_file():
        raise ConfigError(f"--against: {other}: no checkout with scripts/benchmark.py")
    checkouts = {"before": other.resolve(), "after": REPOSITORY}
    found: dict[str, dict[str, list[float]]] = {}
    engines: dict[str, object] = {}
    for _ in range(rounds):
        for beside, num_programs in _company().items():
            for name, checkout in checkouts.items():
                with _other_work(num_programs):
                    job = _job_with_core(checkout, options)
                for stage, row in job.items():
                    engines[stage] = row.get("engine", engines.get(stage, "-"))
                    for column, (key, quiet) in _COLUMNS.items():
                        if key in row and not (quiet and num_programs):
                            title = column.format(when=name, beside=beside)
                            figures = found.setdefault(stage, {}).setdefault(title, [])
                            figures.append(float(str(row[key])))
    titles = [
        column.format(when=name, beside=beside)
        for column, (_, quiet) in _COLUMNS.items()
        for beside in (["alone"] if quiet else _company())
        for name in checkouts
    ]
    return [
        {"stage": stage, "engine": engines[stage]}
        | {title: median(values.get(title)) for title in titles}
        for stage, values in found.items()
    ]


def _job_with_core(checkout: Path, options: Sequence[str]) -> dict[str, Row]:
    """Rows of a job, of which the last counts the start of the program too."""
    before = core_seconds_of_children()
    job = _run_job(checkout, options, {"PYTHONPATH": str(checkout)})
    core_s = core_seconds_of_children() - before
    whole = job[_WHOLE_JOB]
    whole["core ms per frame"] = 1000 * core_s / float(str(whole["frames"]))
    return job


def median(values: Sequence[float] | None) -> object:
    """Return the median of figures to print, or a dash if there are none."""
    return round(statistics.median(values), 1) if values else "-"


def core_seconds_of_children() -> float:
    """Return the processor time of all programs that this one started and that have ended."""
    import resource  # noqa: PLC0415 - Unix only

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _company() -> dict[str, int]:
    """How many busy programs there are beside a job."""
    return {"alone": 0, "beside other work": os.cpu_count() or 1}


@contextmanager
def _other_work(num_programs: int) -> Iterator[None]:
    command = [sys.executable, "-c", "while True: pass"]
    programs = [subprocess.Popen(command) for _ in range(num_programs)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _run_job(
    checkout: Path, options: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Row]:
    """Rows of the benchmark of a checkout, by stage."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(checkout / "scripts" / "benchmark.py"), *options]
        command += ["--json", str(result), "--tmp-dir", folder]
        done = subprocess.run(
            command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise ConfigError(f"the job ended with code {done.returncode}, see above")
        rows = json.loads(result.read_text(encoding="utf-8"))["rows"]
    return {row["stage"]: row for row in rows}
