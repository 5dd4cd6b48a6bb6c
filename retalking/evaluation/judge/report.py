"""What the outside judge found: lines with what is wanted, and the trials that miss it by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.evaluation.judge.cast import KINDS, Kind, Trial
from retalking.evaluation.markdown import table_head, table_line
from retalking.files import replacing

Values = Mapping[str, float]
_NUM_NAMED = 4


@dataclass(frozen=True)
class Wanted:
    """What a figure shall be.

    Attributes:
        text: for the table.
        low: no less.
        high: no more.
        each: on every trial, not on their mean.
    """

    text: str
    low: float = -np.inf
    high: float = np.inf
    each: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value, rounded as it is shown, is one."""
        return self.low <= round(value, 3) <= self.high


@dataclass(frozen=True)
class JudgeLine:
    """Something that is measured on every trial of a kind.

    Attributes:
        kind: of the trials.
        name: of the value.
        title: in the table.
        wanted: ``None`` for a figure that only explains another.
    """

    kind: Kind
    name: str
    title: str
    wanted: Wanted | None = None


def _at_least(low: float) -> Wanted:
    return Wanted(f"at least {low:.2f}", low=low)


def _at_most(high: float) -> Wanted:
    return Wanted(f"at most {high:.2f}", high=high)


def _each(low: float, high: float) -> Wanted:
    return Wanted(f"{low:.2f} to {high:.2f} on every clip", low, high, each=True)


LINES = (
    JudgeLine("cross", "follow_opening", "follow, opening", _at_least(0.75)),
    JudgeLine("cross", "follow_width", "follow, width", _at_least(0.6)),
    JudgeLine("cross", "follow_jawOpen", "follow, jawOpen", _at_least(0.45)),
    JudgeLine("cross", "follow_mouthPucker", "follow, pucker", _at_least(0.45)),
    JudgeLine("cross", "leak_opening", "leak, opening", _at_most(0.1)),
    JudgeLine("cross", "leak_width", "leak, width", _at_most(0.15)),
    JudgeLine("cross", "leak_jawOpen", "leak, jawOpen", _at_most(0.12)),
    JudgeLine("cross", "leak_mouthPucker", "leak, pucker", _at_most(0.06)),
    JudgeLine("cross", "follow2_opening", "second judge: follow, opening", _at_least(0.65)),
    JudgeLine("cross", "follow2_width", "second judge: follow, width", _at_least(0.52)),
    JudgeLine("cross", "leak2_opening", "second judge: leak, opening", _at_most(0.15)),
    JudgeLine("cross", "leak2_width", "second judge: leak, width", _at_most(0.18)),
    JudgeLine("cross", "chance", "old and new lips alike by chance"),
    JudgeLine("cross", "late", "frames late"),
    JudgeLine("cross", "spread_opening", "spread of opening / speaker's"),
    JudgeLine("cross", "sharpness", "mouth sharpness / source's", _each(0.85, 1.15)),
    JudgeLine("cross", "flicker", "flicker beside the mouth / source's"),
    JudgeLine("silence", "spread_opening", "spread of opening / source's", _at_most(0.1)),
    JudgeLine("self", "r_opening", "correlation of opening", _at_least(0.82)),
    JudgeLine("self", "r_width", "correlation of width"),
    JudgeLine("self", "r_jawOpen", "correlation of jawOpen"),
    JudgeLine("self", "r_mouthPucker", "correlation of pucker"),
    JudgeLine("self", "spread_opening", "spread of opening / true"),
    JudgeLine("self", "spread_width", "spread of width / true"),
    JudgeLine("self", "closures", "closed lips found", _at_least(0.75)),
    JudgeLine(
        "self", "likeness", "perceptual distance of the mouth", Wanted("at most 0.060", high=0.06)
    ),
    JudgeLine("self", "sharpness", "mouth sharpness / true", _each(0.85, 1.15)),
    JudgeLine("self", "flicker", "flicker beside the mouth / true", _at_most(1.05)),
    JudgeLine("still", "follow_opening", "follow, opening", _at_least(0.7)),
    JudgeLine("still", "follow_width", "follow, width", _at_least(0.45)),
    JudgeLine("still", "follow_jawOpen", "follow, jawOpen"),
    JudgeLine("still", "follow_mouthPucker", "follow, pucker"),
)
TITLES: dict[Kind, str] = {
    "cross": "words of another",
    "silence": "silence",
    "self": "its own words",
    "still": "a photograph speaks",
}


@dataclass(frozen=True)
class JudgeReport:
    """Result of the outside judge.

    Attributes:
        trials: values by name; a trial that failed is not among them.
        failures: what went wrong.
        settings: what was judged.
    """

    trials: Mapping[Trial, Values]
    failures: Mapping[Trial, str]
    settings: Mapping[str, object]

    @property
    def passed(self) -> bool:
        """Whether every trial could be judged and no line misses what is wanted."""
        judged = [self._is_met(line) for line in self.lines if line.wanted]
        return bool(judged) and all(judged) and not self.failures

    @property
    def lines(self) -> list[JudgeLine]:
        """Lines that were measured."""
        return [line for line in LINES if self.values(line)]

    def values(self, line: JudgeLine) -> dict[Trial, float]:
        """Return what was measured for a line; not every trial has every value."""
        return {
            trial: values[line.name]
            for trial, values in self.trials.items()
            if trial.kind == line.kind and line.name in values
        }

    def bad(self, line: JudgeLine) -> list[Trial]:
        """Return the trials that by themselves miss what is wanted, the worst first."""
        wanted = line.wanted
        if wanted is None:
            return []
        found = {t: v for t, v in self.values(line).items() if not wanted.is_met(v)}
        return sorted(found, key=lambda t: min(found[t] - wanted.low, wanted.high - found[t]))

    def table(self) -> str:
        """Return what goes into the model card: Markdown, without the values of every trial."""
        text = table_head(["kind", "line", "wanted", "mean", "", "worst clips"], 6)
        for line in self.lines:
            values = self.values(line)
            worst = [f"{t.name} {values[t]:.2f}" for t in self.bad(line)[:_NUM_NAMED]]
            if len(self.bad(line)) > _NUM_NAMED:
                worst.append(f"{len(self.bad(line)) - _NUM_NAMED} more")
            cells = (
                f"{TITLES[line.kind]} ({len(values)})",
                line.title,
                line.wanted.text if line.wanted else "",
                self._show(line),
                self._verdict(line),
                ", ".join(worst),
            )
            text.append(table_line(cells))
        text += [
            f"\n{trial.kind} {trial.name}: not judged: {reason}"
            for trial, reason in self.failures.items()
        ]
        return "\n".join(text) + "\n"

    def details(self) -> str:
        """Return the values of every trial in Markdown."""
        text = []
        for kind in KINDS:
            lines = [line for line in self.lines if line.kind == kind]
            if lines:
                text += [f"\n## {TITLES[kind].capitalize()}\n"]
                text += table_head(["clip", *(line.title for line in lines)], 1)
            for trial, values in self.trials.items():
                if trial.kind == kind:
                    known = (values.get(line.name) for line in lines)
                    cells = ("" if value is None else f"{value:.3f}" for value in known)
                    text.append(table_line([trial.name, *cells]))
        return "\n".join(text) + "\n"

    def save(self, folder: Path) -> None:
        """Write ``judge.md``, ``judge.csv`` and ``judge.json`` into a folder, which is made.

        Raises:
            MediaError: they cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        head = f"# Outside judge of lips\n\n{json.dumps(self.settings)}\n\n"
        for name, text in (
            ("judge.md", head + self.table() + self.details()),
            ("judge.json", json.dumps(self._as_json(), indent=2)),
        ):
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")
        columns = list(dict.fromkeys(line.name for line in LINES))
        with (
            replacing(folder / "judge.csv") as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["kind", "clip", *columns])
            for trial, values in self.trials.items():
                cells = [values.get(column, "") for column in columns]
                writer.writerow([trial.kind, trial.name, *cells])

    def _mean(self, line: JudgeLine) -> float:
        return float(np.mean(list(self.values(line).values())))

    def _show(self, line: JudgeLine) -> str:
        if line.wanted and line.wanted.each:
            values = self.values(line).values()
            return f"{self._mean(line):.3f} ({min(values):.2f} to {max(values):.2f})"
        return f"{self._mean(line):.3f}"

    def _is_met(self, line: JudgeLine) -> bool:
        assert line.wanted is not None
        return not self.bad(line) if line.wanted.each else line.wanted.is_met(self._mean(line))

    def _verdict(self, line: JudgeLine) -> str:
        if line.wanted is None:
            return ""
        return "pass" if self._is_met(line) else "miss"

    def _as_json(self) -> dict[str, object]:
        return {
            "settings": self.settings,
            "lines": [
                {
                    "kind": line.kind,
                    "name": line.name,
                    "mean": self._mean(line),
                    "wanted": line.wanted.text if line.wanted else "",
                    "verdict": self._verdict(line),
                    "bad": [trial.name for trial in self.bad(line)],
                }
                for line in self.lines
            ],
            "trials": [
                {"kind": trial.kind, "clip": trial.name, **values}
                for trial, values in self.trials.items()
            ],
            "failures": {f"{t.kind} {t.name}": reason for t, reason in self.failures.items()},
        }
