"""Damage files and options in every way that comes to mind, and see that the program bears it.

    python scripts/measure/fuzz.py
    python scripts/measure/fuzz.py --only 1234

Films, pictures, speech, weight files, kept work, configurations and command lines are damaged by
chance, the same in every run. A fault is a traceback, a crash, an end without one line that says
what is wrong, something left over, more than 20 s, or more than 2 GB. The exit code is 1 if there
is one.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

from retalking.script import run_entry_point

from retalking.exit_code import report_mistakes
from scripts.measure.hostile.cases import run_case
from scripts.measure.hostile.ground import Ground
from scripts.measure.hostile.seeds import write_seeds
from scripts.measure.hostile.watched import Limits, Outcome, Watched


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, print the faults and a table, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the cases to run")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--max-minutes", type=float, default=10.0, help="stop after that")
    options = parser.parse_args(arguments)
    numbers = options.only or range(options.cases)
    begun = time.monotonic()
    outcomes = []
    for outcome in run_cases(numbers, options.seed, options.jobs, 60 * options.max_minutes):
        outcomes.append(outcome)
        if outcome.fault:
            print(f"case {outcome.number} ({outcome.kind}): {outcome.fault.strip()}", flush=True)
    faults = sum(bool(outcome.fault) for outcome in outcomes)
    print(summarise(outcomes))
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(outcomes)} of {len(numbers)} cases in {minutes:.1f} minutes: {faults} faults")
    return int(faults > 0)


def run_cases(
    numbers: Sequence[int], seed: int, jobs: int, most_seconds: float
) -> Iterator[Outcome]:
    """Run cases in watched processes; yields how they went in the order in which they end.

    Args:
        numbers: of the cases.
        seed: of them all.
        jobs: processes.
        most_seconds: after which no case is begun.
    """
    end = time.monotonic() + most_seconds
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[Outcome | None] = SimpleQueue()
    for number in numbers:
        waiting.put(number)
    with tempfile.TemporaryDirectory() as seeds, ThreadPoolExecutor(jobs) as pool:
        write_seeds(Path(seeds))
        prepare = functools.partial(_prepare, Path(seeds), seed)
        workers = [pool.submit(_work, prepare, waiting, done, end) for _ in range(jobs)]
        for _ in range(jobs):
            while (outcome := done.get()) is not None:
                yield outcome
        for worker in workers:
            worker.result()


def _work(
    prepare: Callable[[Path], Callable[[int], tuple[str, str]]],
    waiting: SimpleQueue[int],
    done: SimpleQueue[Outcome | None],
    end: float,
) -> None:
    try:
        with Watched(prepare, Limits()) as process:
            while time.monotonic() < end:
                done.put(process.run(waiting.get_nowait()))
    except Empty:
        pass
    finally:
        done.put(None)


def _prepare(seeds: Path, seed: int, folder: Path) -> Callable[[int], tuple[str, str]]:
    # Odd command lines name folders, which else are made where the caller is.
    os.chdir(folder)
    return functools.partial(run_case, Ground.prepare(seeds, folder), seed)


def summarise(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table, a row for each kind of case."""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[outcome.kind].append(outcome)
    rows = ["| kind | cases | faults | slowest (s) | peak (MB) |", "|---|---:|---:|---:|---:|"]
    for kind, those in sorted(kinds.items()):
        slowest = max(outcome.seconds for outcome in those)
        peak_mb = max(outcome.peak_bytes for outcome in those) / 2**20
        faults = sum(bool(outcome.fault) for outcome in those)
        rows.append(f"| {kind} | {len(those)} | {faults} | {slowest:.1f} | {peak_mb:.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    run_entry_point(main)
