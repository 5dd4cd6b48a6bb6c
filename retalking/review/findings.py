"""What a figure should be, and a plain sentence with what to try where it is not.

The ranges are those of dubs that look right (ten of held-out clips, 224 to 720 px, lite profile),
with room for other profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rule:
    """What a figure should be.

    Attributes:
        name: of the figure, see ``figures.measure``.
        title: in tables.
        form: how a value is written.
        trouble: a sentence for a value out of range; ``{}`` is the value.
        advice: what to try then.
        low: no less.
        high: no more.
        factor: of the value, where it is written.
    """

    name: str
    title: str
    form: str
    trouble: str
    advice: str
    low: float = -np.inf
    high: float = np.inf
    factor: float = 1.0

    def write(self, value: float) -> str:
        """Write a value with its unit."""
        return self.form.format(value * self.factor)

    @property
    def wanted(self) -> str:
        """The range in words."""
        if not np.isfinite(self.low):
            return f"at most {self.write(self.high)}"
        if not np.isfinite(self.high):
            return f"at least {self.write(self.low)}"
        return f"{self.write(self.low)} to {self.write(self.high)}"


_SHARE, _PURE, _MS, _LEVELS = "{:.0f} %", "{:.2f}", "{:+.0f} ms", "{:.1f} levels"

RULES = (
    Rule(
        "edited",
        "frames with the new mouth",
        _SHARE,
        "Only {} of the frames show the new mouth.",
        "The wanted face was not found in the others, or is turned too far: try --on-missing-face "
        "hold, a larger --max-yaw-deg, or name the person with --face-index or --face-box.",
        low=0.9,
        factor=100,
    ),
    Rule(
        "motion",
        "motion of the lips while words are heard",
        "{:.3f} eye distances",
        "The mouth hardly moves while words are heard ({}).",
        "Try --lip-strength 1 or more; check that --audio-track is the speech; --no-silence-gate "
        "if the speech is faint.",
        low=0.015,
    ),
    Rule(
        "follow",
        "lips follow the words",
        _PURE,
        "The lips do not follow the words that are heard (correlation {}).",
        "Look whether the mouth is hidden or very small in the source; a source that shows the "
        "mouth moving, or --profile official, helps.",
        low=0.6,
    ),
    Rule(
        "late_ms",
        "lips after the sound, as they move",
        _MS,
        "The lips are out of step with the sound by {} (positive: late).",
        "Add that to --sync-offset-ms.",
        low=-80,
        high=80,
    ),
    Rule(
        "expert_late_ms",
        "lips after the sound, by the sync expert",
        _MS,
        "The sync expert finds the lips out of step with the sound by {} (positive: late).",
        "Add that to --sync-offset-ms, unless your ears disagree.",
        low=-150,
        high=250,
    ),
    Rule(
        "confidence",
        "confidence of the sync expert",
        "{:.3f}",
        "The sync expert sees no link between lips and sound (confidence {}).",
        "Watch it with sound; the lines on motion and words usually say why.",
        low=0.01,
    ),
    Rule(
        "leak",
        "old words still on the lips",
        _PURE,
        "The mouth still moves with its old words (correlation {}, the new ones left out).",
        "Look whether something hides the mouth; try --reference-source quiet with --mouth "
        "networks, or --profile lite.",
        high=0.4,
    ),
    Rule(
        "hidden",
        "frames with a hidden mouth",
        _SHARE,
        "Something hides the mouth in {} of the frames.",
        "The new mouth cannot be seen there, or lies over what hides it: look at these frames, or "
        "cut them out.",
        high=0.08,
        factor=100,
    ),
    Rule(
        "sharpness",
        "sharpness of the mouth against the face",
        _PURE,
        "The mouth is not as sharp as the face around it ({} of the source's).",
        "Try --restorer gfpgan or another --restorer-strength; --profile lite keeps the source's "
        "own pixels.",
        low=0.85,
        high=1.15,
    ),
    Rule(
        "flicker",
        "flicker beside the mouth",
        _LEVELS,
        "The face flickers beside the mouth ({}).",
        "Leave out --nosmooth; a lower --crf if it is the codec; --reference-surroundings source.",
        high=4.0,
    ),
    Rule(
        "flicker_ratio",
        "restlessness against the source",
        _PURE,
        "The face beside the mouth is more restless than in the source ({} times).",
        "Leave out --nosmooth; --reference-surroundings source.",
        high=1.15,
    ),
    Rule(
        "seam",
        "step at the border of the edit",
        _LEVELS,
        "The border of the edit can be seen ({}).",
        "Give the crop more room with --pads; --parser parsenet sees where the face ends.",
        high=8.0,
    ),
    Rule(
        "open_in_silence",
        "open in silence",
        _SHARE,
        "The mouth stays open where nobody speaks ({} of its range).",
        "Leave out --no-silence-gate; remove noise and music from the speech.",
        high=0.3,
        factor=100,
    ),
)


@dataclass(frozen=True)
class Finding:
    """A figure with its rule.

    Attributes:
        rule: what it should be.
        value: what it is.
    """

    rule: Rule
    value: float

    @property
    def is_good(self) -> bool:
        """Whether it is in its range."""
        return self.rule.low <= self.value <= self.rule.high

    @property
    def sentence(self) -> str:
        """What is wrong, and what to try; empty for a good one."""
        if self.is_good:
            return ""
        return f"{self.rule.trouble.format(self.rule.write(self.value))} {self.rule.advice}"


def judge(figures: Mapping[str, float]) -> tuple[Finding, ...]:
    """Hold figures against the rules; those that are not defined are left out."""
    return tuple(Finding(rule, figures[rule.name]) for rule in RULES if rule.name in figures)
