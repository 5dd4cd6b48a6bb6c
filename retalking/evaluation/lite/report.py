"""What the lite suite found: one row per clip, the mean, and whether it reaches its target."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.files import replacing


@dataclass(frozen=True)
class Line:
    """Something that is measured on every clip and judged by its mean over clips.

    Attributes:
        name: in JSON.
        title: of its column.
        target: in words; empty for a figure that only explains another.
        reaches: whether a mean does.
    """

    name: str
    title: str
    target: str = ""
    reaches: Callable[[float], bool] | None = None

    def verdict(self, mean: float) -> str:
        """Return pass or miss, or nothing for a line without a target."""
        if self.reaches is None:
            return ""
        return "pass" if self.reaches(mean) else "miss"


DNET_LINES = (
    Line("opening_drop", "opening spread falls by", ">= 0.70", lambda mean: mean >= 0.7),
    Line("displacement", "other landmarks move", "<= 0.03", lambda mean: mean <= 0.03),
    Line("smile_width", "smile / neutral width", "> 1", lambda mean: mean > 1),
)
LNET_LINES = (
    Line("lip_correlation", "lip correlation", ">= 0.40", lambda mean: mean >= 0.4),
    Line("lip_correlation_shifted", "shifted audio"),
    Line("lip_gain", "right - shifted", ">= 0.25", lambda mean: mean >= 0.25),
    Line("lip_deviation", "spread / true", "0.6 to 1.3", lambda mean: 0.6 <= mean <= 1.3),
    Line("true_deviation", "true spread"),
    Line("lower_psnr_db", "lower PSNR dB", ">= 26", lambda mean: mean >= 26),
    Line("silence_opening", "open in silence", "<= 0.25", lambda mean: mean <= 0.25),
    Line("flicker", "flicker", "<= 1.2", lambda mean: mean <= 1.2),
)
ENET_LINES = (
    Line("sharpness", "sharpness", ">= 0.70", lambda mean: mean >= 0.7),
    Line("lower_sharpness", "lower half"),
    Line("enet_gain_db", "dB over bicubic", "> 0", lambda mean: mean > 0),
)
LINES = (*DNET_LINES, *LNET_LINES, *ENET_LINES)


@dataclass(frozen=True)
class LiteReport:
    """Result of the suite.

    Attributes:
        clips: values by name of the line, by clip; a clip that failed is not among them.
        failures: what went wrong, by clip.
        notes: what was left out, and why.
        settings: what was measured: weights, seconds per clip, ...
    """

    clips: Mapping[str, Mapping[str, float]]
    failures: Mapping[str, str]
    notes: Sequence[str]
    settings: Mapping[str, object]

    @property
    def lines(self) -> list[Line]:
        """Lines that were measured."""
        return [line for line in LINES if any(line.name in row for row in self.clips.values())]

    @property
    def means(self) -> dict[str, float]:
        """Means over clips by name of the line."""
        return {
            line.name: float(np.mean([row[line.name] for row in self.clips.values()]))
            for line in self.lines
        }

    @property
    def passed(self) -> bool:
        """Whether every clip could be measured and no line misses its target."""
        verdicts = [line.verdict(self.means[line.name]) for line in self.lines]
        return bool(self.clips) and not self.failures and "miss" not in verdicts

    def table(self) -> str:
        """Return a Markdown table, followed by notes and failures."""
        lines, means = self.lines, self.means
        rows = [["clip", *(line.title for line in lines)]]
        rows.append(["---", *("---:" for _ in lines)])
        for clip, values in self.clips.items():
            rows.append([clip, *(f"{values[line.name]:.3f}" for line in lines)])
        rows.append(["**mean**", *(f"**{means[line.name]:.3f}**" for line in lines)])
        rows.append(["target", *(line.target for line in lines)])
        rows.append(["verdict", *(line.verdict(means[line.name]) for line in lines)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        text = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows if self.clips]
        text += [f"\n{note}" for note in self.notes]
        text += [f"\n{clip}: not measured: {reason}" for clip, reason in self.failures.items()]
        return "\n".join(text) + "\n"

    def save(self, folder: Path) -> None:
        """Write ``lite.json`` and ``lite.md`` into a folder, which is made.

        Raises:
            MediaError: they cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        means = self.means
        found = {
            "settings": self.settings,
            "lines": [
                {
                    "name": line.name,
                    "mean": means[line.name],
                    "target": line.target,
                    "verdict": line.verdict(means[line.name]),
                }
                for line in self.lines
            ],
            "clips": self.clips,
            "failures": self.failures,
            "notes": self.notes,
        }
        for name, text in (("lite.json", json.dumps(found, indent=2)), ("lite.md", self.table())):
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")
