"""Let the outside judge look at the trials, and measure what it sees."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from retalking.errors import RetalkingError, WeightsError
from retalking.evaluation.judge import measures
from retalking.evaluation.judge.cast import Trial
from retalking.evaluation.judge.dubs import Dubber
from retalking.evaluation.judge.face_features import FaceFeatures
from retalking.evaluation.judge.judges import JudgeName, Judges
from retalking.evaluation.judge.mouths import Mouths, compare_mouths
from retalking.evaluation.judge.report import JudgeReport
from retalking.evaluation.judge.sheet import draw_trial
from retalking.media.images import save_image

logger = logging.getLogger(__name__)

_LIKENESS_STRIDE = 3


@dataclass(frozen=True)
class Judgement:
    """A run of the outside judge.

    Attributes:
        dubber: makes the dubs.
        judges: look at them.
        features: measure the likeness of mouths.
        seconds: of every trial.
        folder: of the report and its contact sheets.
    """

    dubber: Dubber
    judges: Judges
    features: FaceFeatures
    seconds: float
    folder: Path

    def judge(
        self, trials: Sequence[Trial], settings: Mapping[str, object], progress: bool = False
    ) -> JudgeReport:
        """Dub, look and measure.

        Args:
            trials: see ``choose_trials``.
            settings: to be told in the report.
            progress: show bars on stderr.

        Returns:
            The report; trials that fail are named in it.

        Raises:
            WeightsError: a weight file is missing or does not fit.
            RetalkingError: the judges fail.
        """
        failures: dict[Trial, str] = {}
        dubs: dict[Trial, Path] = {}
        with tqdm(trials, desc="dubs to judge", unit="dub", disable=not progress) as bar:
            for trial in bar:
                bar.set_postfix_str(trial.name)
                try:
                    dubs[trial] = self.dubber.dub(trial, self.seconds)
                except WeightsError:
                    raise
                except RetalkingError as error:
                    failures[trial] = str(error)
        self._watch("mediapipe", list(dubs), dubs)
        self._watch("dlib", [trial for trial in dubs if trial.kind == "cross"], dubs)
        found: dict[Trial, dict[str, float]] = {}
        for trial, dub in tqdm(dubs.items(), desc="judging", unit="dub", disable=not progress):
            try:
                found[trial] = self._measure(trial, dub)
            except RetalkingError as error:
                logger.warning("%s %s: not measured: %s", trial.kind, trial.name, error)
                failures[trial] = str(error)
        return JudgeReport(found, failures, settings)

    def _watch(self, judge: JudgeName, trials: Sequence[Trial], dubs: Mapping[Trial, Path]) -> None:
        videos: dict[Path, None] = {}
        for trial in trials:
            videos |= dict.fromkeys((dubs[trial], trial.face, trial.speaker.video))
        self.judges.watch(judge, list(videos), self.seconds)

    def _measure(self, trial: Trial, dub: Path) -> dict[str, float]:
        recall, seconds = self.judges.recall, self.seconds
        source = recall("mediapipe", trial.face, seconds)
        words = recall("mediapipe", trial.speaker.video, seconds)
        result = recall("mediapipe", dub, seconds)
        sheet = self.folder / "sheets" / f"{trial.kind}-{trial.name}.png"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        save_image(sheet, draw_trial(trial, dub, source, words, result))
        if trial.kind == "still":
            made, new = measures.line_up(result, words)
            return measures.follow(made, new)
        made, new, old = measures.line_up(result, words, source)
        if trial.kind == "silence":
            return {"spread_opening": measures.spread(made, old, "opening")}
        mouths = compare_mouths(trial.face, dub, source)
        seen = {"sharpness": mouths.sharpness, "flicker": mouths.flicker}
        if trial.kind == "self":
            return {**measures.compare(made, old), **self._compare(mouths), **seen}
        made2, new2, old2 = measures.line_up(
            *(recall("dlib", video, seconds) for video in (dub, trial.speaker.video, trial.face))
        )
        return {
            **measures.follow_and_leak(made, new, old),
            **measures.follow_and_leak(made2, new2, old2, "2"),
            **measures.explain(made, new, old),
            **seen,
        }

    def _compare(self, mouths: Mouths) -> dict[str, float]:
        made, true = mouths.made[::_LIKENESS_STRIDE], mouths.true[::_LIKENESS_STRIDE]
        return {"likeness": self.features.distance(made, true)}
