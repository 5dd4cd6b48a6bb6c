"""Tables in Markdown. What others wrote into them can neither draw nor steer a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence


def table_line(cells: Sequence[str]) -> str:
    """Return a row."""
    return "| " + " | ".join(plain(cell).replace("|", "\\|") for cell in cells) + " |"


def plain(text: str) -> str:
    """Return text of others as one line without control characters and HTML."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text), quote=False)


def table_head(names: Sequence[str], num_texts: int) -> list[str]:
    """Return the header and the line below it; columns after the first texts hold numbers."""
    kinds = ["---"] * num_texts + ["---:"] * (len(names) - num_texts)
    return [table_line(names), table_line(kinds)]
