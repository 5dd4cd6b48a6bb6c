"""Say what this machine and this checkout can do, and what is in the way.

    python scripts/doctor.py
    python scripts/doctor.py --no-speed --json doctor.json

Versions, devices, weights with their hashes, codecs, free disk, and how long a dub takes. Nothing
is downloaded and nothing is changed. Lines that begin with ! say what is wrong and what to do;
those with ? concern extras only.

Exit code: 0 the lite profile works, 1 something is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from retalking.script import run_entry_point

from retalking.doctor.checks import Finding, examine
from retalking.doctor.speed import measure_speed
from retalking.errors import RetalkingError
from retalking.files import replacing

_MARKS = {"good": " ", "note": "?", "bad": "!"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = build_parser().parse_args(arguments)
    findings: list[Finding] = []
    for finding in _look(options.speed):
        topic = finding.topic if not findings or findings[-1].topic != finding.topic else ""
        print(f"{_MARKS[finding.state]} {topic:20}{finding.text}", flush=True)
        findings.append(finding)
    if options.json:
        with replacing(options.json) as path:
            path.write_text(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.state == "bad" for finding in findings))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="doctor.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--speed", action=argparse.BooleanOptionalAction, default=True, help="dub two seconds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings, too")
    return parser


def _look(with_speed: bool) -> Iterator[Finding]:
    works = True
    for finding in examine():
        works &= finding.state != "bad"
        yield finding
    if with_speed and works:
        try:
            yield measure_speed()
        except RetalkingError as error:
            yield Finding("speed", "bad", " ".join(str(error).split()))


if __name__ == "__main__":
    run_entry_point(main)
