"""Tell whether files were made by this program: marks in the picture, and the signed manifest.

    python scripts/verify.py video.mp4 --report evidence.html

A file without a mark need not be genuine: other programs leave none, and marks can be destroyed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from retalking.script import positive, run_entry_point

from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.trust.options import read_key
from retalking.trust.verdict.report import write_report
from retalking.trust.verdict.telling import as_json, as_text
from retalking.trust.verdict.verification import check_files, verify


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Look at the files; returns the exit status: 0 whatever was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="video or sound")
    parser.add_argument("--watermark-key", type=Path, help="key of the marks, if it was not public")
    parser.add_argument("--json", action="store_true", help="for programs: one object per file")
    parser.add_argument("--report", type=Path, metavar="HTML", help="page with the evidence")
    parser.add_argument("--every", type=positive, default=1, help="look at every n-th frame")
    parser.add_argument("--max-seconds", type=float, help="of the video to look at")
    options = parser.parse_args(arguments)
    check_files(options.files)
    key = read_key(options.watermark_key)
    verdicts = [verify(path, key, options.every, options.max_seconds) for path in options.files]
    if options.json:
        print(json.dumps([as_json(verdict) for verdict in verdicts], indent=2))
    else:
        print("\n\n".join(as_text(verdict) for verdict in verdicts))
    if options.report is not None:
        write_report(options.report, verdicts)
    return EXIT_OK


if __name__ == "__main__":
    run_entry_point(main)
