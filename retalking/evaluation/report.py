"""The report of an evaluation: Markdown, CSV, JSON and plots, with the paper's figures beside."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retalking.evaluation.markdown import table_head, table_line
from retalking.evaluation.pairs import Pair
from retalking.evaluation.plots import plot_quantity
from retalking.evaluation.published import PublishedTable, read_published
from retalking.evaluation.result_folder import Problems, Record, write_json
from retalking.evaluation.tally import Tally
from retalking.files import replacing
from retalking.metrics.metric import Better, Metric, Quantity

MEASURED, PUBLISHED = "measured here", "published"
_ARROWS: dict[Better, str] = {"higher": " ↑", "lower": " ↓", "neither": ""}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        method: label.
        origin: ``measured here`` or ``published``.
        values: by quantity; absent where there is none.
        num_clips: how many clips each value is of, by quantity; empty for published ones.
    """

    method: str
    origin: str
    values: Mapping[str, float]
    num_clips: Mapping[str, int]


@dataclass(frozen=True)
class ClipRow:
    """Figures of one clip; quantities that a single clip does not have are absent."""

    method: str
    pair: Pair
    values: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        title: headline.
        notes: what a reader must know.
        quantities: columns.
        rows: measured and published.
        clips: figures per clip.
        num_pairs: how many pairs were to be measured.
        left_out: methods and metrics that took no part, and why.
        problems: pairs that failed, by the method's name.
    """

    title: str
    notes: Sequence[str]
    quantities: Sequence[Quantity]
    rows: Sequence[Row]
    clips: Sequence[ClipRow]
    num_pairs: int
    left_out: Mapping[str, str]
    problems: Problems

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for is in."""
        return not self.left_out and not any(self.problems.values())

    def markdown(self) -> str:
        """Return the report as a page."""
        columns = ["method", "origin", *map(_heading, self.quantities), "clips"]
        lines = [f"# {self.title}", "", *self.notes, *([""] if self.notes else [])]
        lines += table_head(columns, 2)
        lines += [table_line(_cells(row, self.quantities)) for row in self.rows]
        lines += ["", f"Pairs: {self.num_pairs}."]
        lines += [f"`{q.name}`: {q.note}." for q in self.quantities if q.note]
        if self.left_out:
            lines += ["", f"## Left out ({len(self.left_out)})", ""]
            lines += [f"- {name}: {reason}" for name, reason in self.left_out.items()]
        failed = [
            f"- {method}, pair {pair}, {what}: {reason}"
            for method, pairs in self.problems.items()
            for pair, reasons in pairs.items()
            for what, reason in reasons.items()
        ]
        if failed:
            lines += ["", f"## Failed ({len(failed)})", "", *failed]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``report.md``, ``report.csv``, ``report.json``, ``clips.csv`` and ``plots/``.

        Raises:
            MediaError: a file cannot be written.
        """
        names = [quantity.name for quantity in self.quantities]
        with replacing(folder / "report.md") as partial:
            partial.write_text(self.markdown(), encoding="utf-8")
        _write_csv(
            folder / "report.csv",
            ["method", "origin", *names],
            ([row.method, row.origin, *_numbers(row.values, names)] for row in self.rows),
        )
        _write_csv(
            folder / "clips.csv",
            ["method", "pair", "video", "audio", *names],
            ((*_names(clip), *_numbers(clip.values, names)) for clip in self.clips),
        )
        write_json(folder / "report.json", self._as_json())
        plots = folder / "plots"
        plots.mkdir(exist_ok=True)
        for quantity in self.quantities:
            picture = self._plot(quantity)
            if picture is not None:
                with replacing(plots / f"{quantity.name}.svg") as partial:
                    partial.write_text(picture, encoding="utf-8")

    def _plot(self, quantity: Quantity) -> str | None:
        name = quantity.name
        bars = {
            row.method if row.origin == MEASURED else f"{row.method} ({PUBLISHED})": row.values[
                name
            ]
            for row in self.rows
            if math.isfinite(row.values.get(name, math.nan))
        }
        dots: dict[str, list[float]] = {}
        for clip in self.clips:
            if math.isfinite(clip.values.get(name, math.nan)):
                dots.setdefault(clip.method, []).append(clip.values[name])
        measured = any(row.origin == MEASURED and row.method in bars for row in self.rows)
        return plot_quantity(_heading(quantity), bars, dots) if measured else None

    def _as_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            "notes": list(self.notes),
            "num_pairs": self.num_pairs,
            "quantities": [dataclasses.asdict(quantity) for quantity in self.quantities],
            "rows": [
                {**vars(row), "values": _finite(row.values), "num_clips": dict(row.num_clips)}
                for row in self.rows
            ],
            "clips": [
                {
                    "method": clip.method,
                    "pair": clip.pair.number,
                    "video": str(clip.pair.video),
                    "audio": str(clip.pair.audio),
                    "values": _finite(clip.values),
                }
                for clip in self.clips
            ],
            "left_out": dict(self.left_out),
            "problems": self.problems,
        }


def summarise(
    record: Record,
    pairs: Sequence[Pair],
    metrics: Mapping[str, Metric],
    tallies: Mapping[str, Mapping[str, Tally]],
    problems: Problems,
) -> Report:
    """Turn tallies into a report; published figures stand below the row that they belong to."""
    table = None if record.published is None else getattr(read_published(), record.published)
    quantities = [quantity for metric in metrics.values() for quantity in metric.quantities]
    notes = list(record.notes)
    rows, clips = [], []
    for name, by_metric in tallies.items():
        label = str(record.methods[name]["label"])
        values: dict[str, float] = {}
        counts: dict[str, int] = {}
        for metric_name, tally in by_metric.items():
            found = tally.total(metrics[metric_name])
            values |= found
            counts |= dict.fromkeys(found, len(tally.stamps))
        rows.append(Row(label, MEASURED, values, counts))
        clips += _clip_rows(label, pairs, metrics, by_metric)
    if table is not None:
        known = {quantity.name for quantity in quantities}
        quantities += [
            Quantity(name, "", better, per_clip=False)
            for name, better in table.columns.items()
            if name not in known
        ]
        rows = _with_published(rows, table)
        notes.append(f"Rows marked {PUBLISHED} are printed in the paper ({table.caption}).")
    done = [method for method in tallies if method in problems]
    return Report(
        title=record.title,
        notes=notes,
        quantities=_paper_first(quantities, table),
        rows=rows,
        clips=clips,
        num_pairs=len(pairs),
        left_out=record.left_out,
        problems={method: problems[method] for method in done},
    )


def _clip_rows(
    label: str,
    pairs: Sequence[Pair],
    metrics: Mapping[str, Metric],
    tallies: Mapping[str, Tally],
) -> list[ClipRow]:
    rows = []
    for pair in pairs:
        values: dict[str, float] = {}
        for name, tally in tallies.items():
            names = [quantity.name for quantity in metrics[name].quantities]
            values |= dict(zip(names, tally.values.get(pair.number, ()), strict=False))
        if values:
            rows.append(ClipRow(label, pair, _finite(values)))
    return rows


def _with_published(rows: Sequence[Row], table: PublishedTable) -> list[Row]:
    published = {label: Row(label, PUBLISHED, table.figures(label), {}) for label in table.rows}
    measured = {row.method: row for row in rows}
    ordered = [row for row in rows if row.method not in published]
    for label, row in published.items():
        ordered += [measured[label], row] if label in measured else [row]
    return ordered


def _paper_first(quantities: list[Quantity], table: PublishedTable | None) -> list[Quantity]:
    order = list(table.columns) if table else []
    return sorted(quantities, key=lambda q: order.index(q.name) if q.name in order else len(order))


def _heading(quantity: Quantity) -> str:
    unit = f" ({quantity.unit})" if quantity.unit else ""
    return f"{quantity.name}{unit}{_ARROWS[quantity.better]}"


def _cells(row: Row, quantities: Sequence[Quantity]) -> list[str]:
    values = [row.values.get(quantity.name, math.nan) for quantity in quantities]
    counts = sorted({row.num_clips[q.name] for q in quantities if q.name in row.num_clips})
    clips = "–".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]])))
    return [
        row.method,
        row.origin,
        *(f"{v:.4g}" if math.isfinite(v) else "–" for v in values),
        clips,
    ]


def _numbers(values: Mapping[str, float], names: Sequence[str]) -> list[object]:
    return [_finite(values).get(name, "") for name in names]


def _names(clip: ClipRow) -> tuple[str, str, Path, Path]:
    return clip.method, clip.pair.name, clip.pair.video, clip.pair.audio


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
