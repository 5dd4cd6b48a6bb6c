"""The figures that the paper prints, from ``configs/evaluation/published.yaml``."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from retalking.config import Schema, load_config
from retalking.locations import CONFIGS
from retalking.metrics.metric import Better

PUBLISHED_FILE = CONFIGS / "evaluation" / "published.yaml"

Dataset = Literal["lrs2", "hdtf"]


class PublishedTable(Schema):
    """A table as printed.

    Attributes:
        caption: where it stands and what was measured.
        dataset: on which corpus.
        columns: names of quantities, as our metrics call them, and which way is better.
        rows: figures by the paper's label of the method, in the order of the columns; ``None``
            where the paper gives none.
    """

    caption: str
    dataset: Dataset
    columns: dict[str, Better]
    rows: dict[str, list[float | None]]

    @model_validator(mode="after")
    def _rows_are_full(self) -> PublishedTable:
        for label, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise ValueError(f"row {label}: expected {len(self.columns)} figures")
        return self

    def figures(self, label: str) -> dict[str, float]:
        """Return what the paper gives for a method, by quantity."""
        row = zip(self.columns, self.rows[label], strict=True)
        return {name: value for name, value in row if value is not None}


class Published(Schema):
    """All tables of the paper that hold figures."""

    table1_lrs2: PublishedTable
    table1_hdtf: PublishedTable
    table2: PublishedTable
    table3: PublishedTable
    table4: PublishedTable


def read_published() -> Published:
    """Read the file.

    Raises:
        ConfigError: it is damaged.
    """
    return load_config(Published, PUBLISHED_FILE)
