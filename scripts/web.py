"""A page in the browser: choose a video and a speech, and look at the result.

    bash scripts/setup_web.sh      # once: gradio, see requirements-web.txt
    python scripts/web.py          # http://127.0.0.1:7860/

Jobs are done one after the other, are kept in --folder, and go on after the program was ended. The
page has no accounts: at another address than this machine's own (--host), whoever reaches it may
dub.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.locations import user_cache
from retalking.web.server import WebOptions, serve
from retalking.web.work import Limits


@report_mistakes("ended; jobs that were not done go on at the next start")
def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=7860, help="0 for a free one (default: %(default)s)")
    add("--folder", type=Path, default=user_cache() / "retalking-web", help="of the jobs")
    add("--tmp-dir", type=Path, help="for kept work, as of inference.py")
    add("--max-mb", type=_positive, default=500, help="size of a file (default: %(default)s)")
    add("--max-minutes", type=_positive, default=10, help="of speech (default: %(default)s)")
    add("--max-waiting", type=int, default=20, help="jobs in the queue (default: %(default)s)")
    add("--keep-days", type=_positive, default=30, help="of ended jobs (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not 0 <= options.port < 65536:
        raise ConfigError(f"--port: got {options.port}, expected 0 to 65535")
    serve(
        WebOptions(
            folder=options.folder,
            host=options.host,
            port=options.port,
            limits=Limits(options.max_mb, options.max_minutes, options.max_waiting),
            keep_days=options.keep_days,
            cache=options.tmp_dir,
        )
    )
    return 0


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"got {text}, expected more than 0")
    return number


if __name__ == "__main__":
    run_entry_point(main)
