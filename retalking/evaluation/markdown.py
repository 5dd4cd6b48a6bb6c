"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table_line(cells: Sequence[str]) -> str:
    """Return a row."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table_head(names: Sequence[str], num_texts: int) -> list[str]:
    """Return the header and the line below it; columns after the first texts hold numbers."""
    kinds = ["---"] * num_texts + ["---:"] * (len(names) - num_texts)
    return [table_line(names), table_line(kinds)]
