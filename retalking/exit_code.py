"""From what goes wrong to one line on standard error and an exit code."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

from retalking.errors import ConfigError, RetalkingError
from retalking.terminal import printable

EXIT_OK, EXIT_ERROR, EXIT_INTERRUPTED = 0, 2, 130
ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What ends a program that is to clean up: Ctrl-C, a scheduler, a terminal that closes."""

Parameters = ParamSpec("Parameters")


def report_mistakes(
    interrupted: str = "interrupted",
) -> Callable[[Callable[Parameters, int | None]], Callable[Parameters, int]]:
    """Decorate a ``main``: errors that the user can fix become one line and exit code 2.

    Besides our own these are the system's about a path: a folder that may not be entered, a name
    that is too long, links in a circle.

    Args:
        interrupted: what is said when it is interrupted and the interrupt itself says nothing,
            with exit code 130.
    """

    def decorate(main: Callable[Parameters, int | None]) -> Callable[Parameters, int]:
        @functools.wraps(main)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> int:
            try:
                return main(*args, **kwargs) or EXIT_OK
            except RetalkingError as error:
                print(printable(f"error: {error}", isinstance(error, ConfigError)), file=sys.stderr)
                return EXIT_ERROR
            except OSError as error:
                if error.filename is None:  # not of a path: a pipe, a closed stream
                    raise
                print(printable(f"error: {error.filename}: {error.strerror}"), file=sys.stderr)
                return EXIT_ERROR
            except KeyboardInterrupt as stop:
                print(printable(str(stop)) or interrupted, file=sys.stderr)
                return EXIT_INTERRUPTED

        return guarded

    return decorate
