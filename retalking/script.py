"""How an entry script ends: with its exit code, and quietly when nobody reads on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

EXIT_BROKEN_PIPE = 141
"""What a shell reports for a program that ended because its reader was gone."""


def run_entry_point(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and end the process with its exit code.

    A reader that leaves early, as in ``script --list | head -1``, is no error: the process ends
    with 141 and prints nothing.
    """
    try:
        try:
            code = main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_reader_gone():
            raise
        # Python flushes standard output once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_BROKEN_PIPE
    sys.exit(code)


def _is_reader_gone() -> bool:
    """Whether standard output is the pipe that broke, and not one between processes."""
    try:
        print(flush=True)  # only writing tells; what failed before is no longer in the buffer
    except BrokenPipeError:
        return True
    return False
