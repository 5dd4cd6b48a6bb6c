"""How an entry script ends: by one line and an exit code, whatever happens to it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

from retalking.exit_code import ENDING_SIGNALS, EXIT_ERROR, report_mistakes

EXIT_BROKEN_PIPE = 141
"""What a shell reports for a program that ended because its reader was gone."""


def positive(text: str) -> int:
    """Read a whole number from 1, for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {number}, expected at least 1")
    return number


def run_entry_point(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and end the process with its exit code.

    SIGTERM and SIGHUP count as Ctrl-C. A reader that leaves early, as in ``script --list |
    head -1``, is no error: the process ends with 141 and prints nothing. Where standard output
    takes no more, that is said in one line; closed streams lead nowhere.
    """
    _open_closed_streams()
    for number in set(ENDING_SIGNALS) - {signal.SIGINT}:
        if signal.getsignal(number) is signal.SIG_DFL:  # as nohup, keep ignoring what is ignored
            signal.signal(number, _interrupt)
    try:
        try:
            code = report_mistakes()(main)()
        finally:
            sys.stdout.flush()
    except OSError:
        fault = _fault_of_output()
        if fault is None:
            raise
        # Python flushes standard output once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_BROKEN_PIPE
        if not isinstance(fault, BrokenPipeError):
            print(f"error: standard output takes no more: {fault.strerror}", file=sys.stderr)
            code = EXIT_ERROR
    sys.exit(code)


def _open_closed_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fault_of_output() -> OSError | None:
    """Why standard output cannot be written, if that is what failed, and not a pipe elsewhere."""
    try:
        print(flush=True)  # only writing tells; what failed before is no longer in the buffer
    except OSError as error:
        return error
    return None


def _end_quietly(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


# Entry scripts import this module first, and the rest for seconds before they call
# `run_entry_point`: Ctrl-C meanwhile is no reason for a traceback.
sys.excepthook = _end_quietly
