"""Review a result: watch it, measure, judge, and keep what a report shows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from retalking.errors import ConfigError, WeightsError
from retalking.face.landmarks import LiteLandmarker
from retalking.files import check_writable, replacing
from retalking.media.sound import audio
from retalking.metrics.lip_sync.judges import load_expert
from retalking.metrics.lip_sync.sync import LipSync
from retalking.metrics.metric import Metric
from retalking.metrics.steadiness import Flicker, Seam
from retalking.progress import Watch
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.scene import Scene
from retalking.review.contact_sheet import draw_contact_sheet
from retalking.review.fates import Fates
from retalking.review.figures import measure
from retalking.review.findings import Finding, judge
from retalking.review.page import Curves, write_page
from retalking.review.sight import Sight, look_at_result
from retalking.speech.lip_shapes import SHAPE_NAMES, LipListener, LipShapes, hear_lips
from retalking.types import AudioClip, UInt8Array

SUFFIXES = (".html", ".json")
_HEARD_AFTER_S = 1.0
"""Speech that goes on after the result: what is heard of a word changes where it is cut."""
_IN_SHORT = {
    "follow": "follow the words",
    "late_ms": "late",
    "leak": "old words",
    "sharpness": "sharpness",
    "confidence": "sync confidence",
}
"""What the terminal shows of a result's lips."""


@dataclass(frozen=True)
class Review:
    """What a person would see in a result.

    Attributes:
        result: the file.
        fates: which frames were edited, which not, and why.
        findings: figures with their ranges.
        notes: what could not be measured, and why.
        curves: lips over time.
        sheet: uint8 ``[H, W, 3]``, faces of source and result at some moments, and the speech.
    """

    result: Path
    fates: Fates
    findings: tuple[Finding, ...]
    notes: Mapping[str, str]
    curves: Curves
    sheet: UInt8Array

    @property
    def troubles(self) -> list[Finding]:
        """Figures out of their range."""
        return [finding for finding in self.findings if not finding.is_good]

    @property
    def figures(self) -> dict[str, float]:
        """Return all values by the name of their rule."""
        return {finding.rule.name: finding.value for finding in self.findings}

    def lines(self) -> list[str]:
        """Return the judgement in three lines."""
        troubles = self.troubles
        named = ", ".join(f"{f.rule.title} {f.rule.write(f.value)}" for f in troubles)
        verdict = f"look at {len(troubles)}: {named}" if troubles else "nothing stands out"
        frames = ", ".join(f"{count} {fate}" for fate, count in self.fates.counts().items())
        values = {f.rule.name: f.rule.write(f.value) for f in self.findings}
        lips = ", ".join(
            f"{label} {values[name]}" for name, label in _IN_SHORT.items() if name in values
        )
        return [f"review: {verdict}", f"frames: {frames}", f"lips:   {lips or 'not seen'}"]

    def as_json(self) -> dict[str, object]:
        """Return everything but the pictures, for ``json.dumps``."""
        return {
            "result": str(self.result),
            "good": not self.troubles,
            "frames": self.fates.counts(),
            "frame_ranges": self.fates.ranges(),
            "figures": [
                {
                    "name": finding.rule.name,
                    "title": finding.rule.title,
                    "value": round(finding.value, 4),
                    "wanted": finding.rule.wanted,
                    "good": finding.is_good,
                    "sentence": finding.sentence,
                }
                for finding in self.findings
            ],
            "not_measured": dict(self.notes),
            "curves": {
                name: np.round(values.astype(np.float64), 4).tolist()
                for name, values in dataclasses.asdict(self.curves).items()
            },
        }

    def save(self, path: Path) -> None:
        """Write a page (``.html``) or numbers (``.json``).

        Raises:
            ConfigError: another suffix.
            MediaError: the file cannot be written.
        """
        check_report_path(path)
        if path.suffix.lower() == ".json":
            text = json.dumps(self.as_json(), indent=1) + "\n"
        else:
            text = write_page(
                self.result.name,
                self.lines(),
                self.findings,
                self.fates,
                self.notes,
                self.curves,
                self.sheet,
            )
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")


def check_report_path(path: Path) -> None:
    """Refuse what no report can be written to.

    Raises:
        ConfigError: neither ``.html`` nor ``.json``.
        MediaError: the folder is missing or not writable.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--report {path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    check_writable(path)


def review_result(
    scene: Scene,
    plan: EditPlan,
    speech: Path,
    result: Path,
    *,
    listener: LipListener | None = None,
    audio_track: int | None = None,
    watch: Watch | None = None,
) -> Review:
    """Review a result, as it lies on the disk.

    Args:
        scene: the video behind it.
        plan: of its frames.
        speech: the file whose sound is heard with the first frame from its beginning on.
        result: the video.
        listener: networks that hear lips, if they are loaded.
        audio_track: of the speech.
        watch: told how far it is.

    Raises:
        MediaError: a file cannot be read, or the result is not of this plan.
        CancelledError: the watch said so.
        WeightsError: a lite network is missing.
    """
    timeline = plan.timeline
    heard_s = timeline.duration_s + _HEARD_AFTER_S
    clip = audio.load(speech, track=audio_track, max_seconds=heard_s)
    metrics: dict[str, Metric] = {"flicker": Flicker(), "seam": Seam()}
    notes = {}
    try:
        metrics["expert"] = LipSync(load_expert({}, torch.device("cpu")), "expert_")
    except WeightsError as error:
        notes["expert"] = str(error)
    eyes = LiteLandmarker.from_file()
    sight = look_at_result(scene, plan, clip, result, eyes, metrics, watch or Watch())
    heard = hear_lips(clip, listener or LipListener.from_files()).at(timeline.time_s)
    fates = Fates.of(plan, scene.analysis.track)
    figures = measure(sight, heard, plan.opacity > 0, float(timeline.frame_rate))
    before, after = sight.pictures
    shown = AudioClip(
        clip.samples[: round(timeline.duration_s * clip.sample_rate_hz)], clip.sample_rate_hz
    )
    sheet = draw_contact_sheet({"source": before, "result": after}, sight.moments_s, shown)
    curves = _curves(sight, heard, plan)
    return Review(result, fates, judge(figures), notes | dict(sight.failures), curves, sheet)


def _curves(sight: Sight, heard: LipShapes, plan: EditPlan) -> Curves:
    return Curves(
        plan.timeline.time_s,
        sight.made.opening,
        sight.old.opening,
        heard.values[:, SHAPE_NAMES.index("opening")].astype(np.float64),
        heard.speaking > 0.5,
        sight.found,
        sight.hidden,
    )
