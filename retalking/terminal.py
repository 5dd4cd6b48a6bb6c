"""What is shown on a terminal: lines, without what a terminal would obey."""

from __future__ import annotations

import logging
import re
import sys

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_OR_END = re.compile(rf"{_CONTROL.pattern}|\n")


def printable(text: str, keeps_lines: bool = False) -> str:
    r"""Return a text in which control characters are written out, ``\x1b`` for an escape.

    Names of files and what files hold are in messages.

    Args:
        text: any.
        keeps_lines: ends of lines stay what they are.
    """
    control = _CONTROL if keeps_lines else _CONTROL_OR_END
    return control.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def log_to_terminal(level: int) -> None:
    """Show log records from ``level`` on, on standard error, a line for each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class _LineFormatter(logging.Formatter):
    """One line for each record, before the traceback if there is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Libraries' errors, which we hand on, may take several lines."""
        return printable(" ".join(super().formatMessage(record).split()))
