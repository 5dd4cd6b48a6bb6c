"""From the answers of a user study to means with confidence intervals.

The people are the sample: each one's ratings of a method are averaged first, and the intervals are
Student's t over these averages. Differences between methods are taken within each person (paired).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.evaluation.markdown import plain, table_head, table_line
from retalking.evaluation.published import read_published

CONFIDENCE = 0.95
Score = Annotated[int, Field(ge=1, le=5, strict=True)]


class Rating(Schema):
    """Scores of one video."""

    visual_quality: Score
    lip_sync_quality: Score


SCALES = tuple(Rating.model_fields)


class Answers(Schema):
    """What the page saves."""

    study: str
    participant: str
    order: list[str]
    ratings: dict[str, Rating]


class KeyItem(Schema):
    """Whose video it is, and of what."""

    method: str
    sample: str


class Key(Schema):
    """What ``user_study.write_study`` keeps."""

    study: str
    items: dict[str, KeyItem]


@dataclass(frozen=True)
class Interval:
    """A mean and how far the confidence interval goes to either side; NaN for one person."""

    mean: float
    half_width: float
    num_people: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Return Student's t interval of the mean of at least one value."""
        from scipy.stats import t  # noqa: PLC0415 - takes a second to import

        count = len(values)
        if count < 2:
            return cls(float(np.mean(values)), math.nan, count)
        error = float(np.std(values, ddof=1)) / math.sqrt(count)
        return cls(
            float(np.mean(values)), float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error, count
        )

    def __str__(self) -> str:
        width = "" if math.isnan(self.half_width) else f" ± {self.half_width:.3f}"
        return f"{self.mean:.3f}{width}"


@dataclass(frozen=True)
class StudyResult:
    """What a user study found.

    Attributes:
        means: by method and scale.
        differences: to the first method, by other method and scale; positive: the first is better.
        first: the method that the others are compared with.
        num_opinions: ratings of single videos.
        left_out: files that do not count, and why.
    """

    means: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    first: str
    num_opinions: int
    left_out: dict[str, str]

    def markdown(self) -> str:
        """Return the report as a page, with the paper's table 2 below."""
        people = max(
            interval.num_people for row in self.means.values() for interval in row.values()
        )
        percent = round(100 * CONFIDENCE)
        lines = ["# User study", "", f"{people} people, {self.num_opinions} rated videos."]
        lines += [f"Means ± {percent} % confidence (Student's t over people).", ""]
        lines += table_head(["method", "origin", *SCALES], 2)
        for method, row in self.means.items():
            lines.append(
                table_line([method, "measured here", *(str(row[scale]) for scale in SCALES)])
            )
        published = read_published().table2
        for method in published.rows:
            figures = published.figures(method)
            lines.append(table_line([method, "published", *(f"{figures[s]:.3f}" for s in SCALES)]))
        if self.differences:
            lines += ["", f"{plain(self.first)} minus another method, paired by person:", ""]
            lines += table_head(["other method", "people", *SCALES], 1)
            for method, row in self.differences.items():
                count = str(row[SCALES[0]].num_people)
                lines.append(table_line([method, count, *(str(row[scale]) for scale in SCALES)]))
        if self.left_out:
            lines += ["", f"## Left out ({len(self.left_out)})", ""]
            lines += [f"- {plain(name)}: {plain(why)}" for name, why in self.left_out.items()]
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, object]:
        """Return everything as JSON values."""
        return {
            "first": self.first,
            "confidence": CONFIDENCE,
            "num_opinions": self.num_opinions,
            "means": _plain(self.means),
            "differences": _plain(self.differences),
            "left_out": self.left_out,
        }


def aggregate(key_file: Path, answer_files: Sequence[Path], first: str = "Ours") -> StudyResult:
    """Read answers and average them.

    Args:
        key_file: ``key.json`` of the study.
        answer_files: what people sent back.
        first: the method to compare with; the first of the alphabet if the study has no such one.

    Raises:
        ConfigError: the key cannot be read, or no file of answers counts.
    """
    key = _read_key(key_file)
    people: dict[str, Answers] = {}
    left_out: dict[str, str] = {}
    for path in answer_files:
        try:
            answers = _read_answers(path, key)
            if answers.participant in people:
                raise ConfigError(f"participant {answers.participant} is in an earlier file")
            people[answers.participant] = answers
        except ConfigError as error:
            left_out[str(path)] = str(error)
    if not people:
        raise ConfigError(f"{key_file}: no answers for it among {len(answer_files)} files")
    methods = sorted({item.method for item in key.items.values()})
    first = first if first in methods else methods[0]
    scores = {
        method: [_mean_scores(person, key, method) for person in people.values()]
        for method in methods
    }
    rated = {method: rows for method, rows in scores.items() if any(row for row in rows)}
    means = {
        method: {scale: Interval.of([row[scale] for row in rows if row]) for scale in SCALES}
        for method, rows in rated.items()
    }
    differences = {}
    for method in rated:
        both = [(a, b) for a, b in zip(scores[first], scores[method], strict=True) if a and b]
        if method != first and both:
            differences[method] = {
                scale: Interval.of([a[scale] - b[scale] for a, b in both]) for scale in SCALES
            }
    num_opinions = sum(len(person.ratings) for person in people.values())
    return StudyResult(means, differences, first, num_opinions, left_out)


def _mean_scores(person: Answers, key: Key, method: str) -> dict[str, float]:
    """One person's mean score of a method by scale; empty if they rated none of its videos."""
    given = [r for name, r in person.ratings.items() if key.items[name].method == method]
    if not given:
        return {}
    return {scale: float(np.mean([getattr(rating, scale) for rating in given])) for scale in SCALES}


def _read_key(path: Path) -> Key:
    try:
        return Key.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: no key of a study: {_first_fault(error)}") from None


def _read_answers(path: Path, key: Key) -> Answers:
    try:
        answers = Answers.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"no answers: {_first_fault(error)}") from None
    if answers.study != key.study:
        raise ConfigError(f"is of study {answers.study}, expected {key.study}")
    unknown = sorted(answers.ratings.keys() - key.items.keys())
    if unknown or not answers.ratings:
        raise ConfigError(f"rates {unknown[0]}, which is not in the study" if unknown else "empty")
    return answers


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _plain(table: dict[str, dict[str, Interval]]) -> object:
    return {
        method: {
            scale: {
                "mean": interval.mean,
                "half_width": None if math.isnan(interval.half_width) else interval.half_width,
                "num_people": interval.num_people,
            }
            for scale, interval in row.items()
        }
        for method, row in table.items()
    }
