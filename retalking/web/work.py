"""What is done for a job: dub, contact sheet, report; and what is refused beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retalking.config import section_values
from retalking.errors import ConfigError, MediaError
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.inference.preview import dub_preview
from retalking.inference.profiles import load_profile, missing_files
from retalking.media.images import is_still_image, save_image
from retalking.media.sound.audio_info import probe_audio
from retalking.media.video_info import probe
from retalking.networks.options import FaceNetworksSection, MouthNetworksSection, RunnerSection
from retalking.progress import Listener, Wish
from retalking.web.jobs import REPORT, RESULT, SHEET, Job, JobOptions, JobStore

QUALITIES: dict[str, dict[str, object]] = {
    "draft": {"crf": 28, "preset": "ultrafast"},
    "normal": {},
    "best": {"crf": 12, "preset": "slow"},
}
"""Options of the encoder that differ from the profile."""
EXPRESSIONS = ("neutral", "smile", "neutral:smile:0.5")
EMOTIONS = ("original", "surprise", "angry", "sad")


@dataclass(frozen=True)
class Limits:
    """What is accepted.

    Attributes:
        max_mb: size of a file in megabytes.
        max_minutes: of the speech.
        max_waiting: jobs that wait at a time.
    """

    max_mb: float
    max_minutes: float
    max_waiting: int

    def check(self, face: Path, speech: Path) -> None:
        """Refuse files that are too large, too long, or nothing that can be dubbed.

        Raises:
            MediaError: one of them is.
        """
        for path in (face, speech):
            size_mb = path.stat().st_size / 1e6
            if size_mb > self.max_mb:
                raise MediaError(
                    f"{path.name}: has {size_mb:.0f} MB, at most {self.max_mb:g} are taken here"
                )
        if not is_still_image(face):
            probe(face)
        seconds = probe_audio(speech).duration_s
        if seconds is not None and seconds > 60 * self.max_minutes:
            raise MediaError(
                f"{speech.name}: lasts {seconds / 60:.1f} minutes, at most {self.max_minutes:g} "
                "are taken here; cut it, or use inference.py"
            )


def configure(options: JobOptions, cache: Path | None = None) -> InferenceConfig:
    """Return the configuration of a job.

    Args:
        options: what was chosen.
        cache: folder for kept work; else the user's.

    Raises:
        ConfigError: a choice that does not exist, or whose weights are not here.
    """
    if options.quality not in QUALITIES:
        raise ConfigError(f"quality: got {options.quality}, expected {', '.join(QUALITIES)}")
    chosen: dict[str, object] = {"exp_img": options.expression, "up_face": options.emotion}
    if options.expression not in EXPRESSIONS:  # a path would be read
        raise ConfigError(f"expression: got {options.expression}, expected of {EXPRESSIONS}")
    if options.face_box is not None:
        chosen["face_box"] = options.face_box
    if cache is not None:
        chosen["tmp_dir"] = cache
    config = load_profile(options.profile, {**chosen, **QUALITIES[options.quality]})
    missing = missing_files(config)
    if missing:
        raise ConfigError(
            f"these choices need weights that are not here ({', '.join(missing[:3])}): fetch them "
            "with scripts/download_checkpoints.py, or choose profile lite and emotion original"
        )
    return config


class Worker:
    """Does jobs; the networks of the last one are kept for the next."""

    def __init__(self, store: JobStore, cache: Path | None = None) -> None:
        """Work on the jobs of a store; ``cache`` is the folder for kept work."""
        self._store, self._cache = store, cache
        self._last: Retalker | None = None

    def __call__(self, job: Job, listener: Listener, cancel: Wish) -> str:
        """Do a job, and return what its review says.

        Raises:
            RetalkingError: see ``Retalker``.
        """
        config = configure(job.options, self._cache)
        retalker = self._last = self._load(config)
        folder = self._store.folder / job.id
        files = (folder / job.face, folder / job.speech, folder / RESULT)
        if job.options.is_preview:
            preview = dub_preview(retalker, *files, listener, cancel, review=True)
            report, sheet = preview.report, preview.sheet
        else:
            report = retalker(*files, listener, cancel, review=True)
        review = report.review
        assert review is not None
        save_image(folder / SHEET, sheet if job.options.is_preview else review.sheet)
        review.save(folder / REPORT)
        return "\n".join(review.lines())

    def _load(self, config: InferenceConfig) -> Retalker:
        """Load networks, unless those of the last job are the same."""
        last = self._last
        if last is None or _networks_of(last.config) != _networks_of(config):
            return Retalker(config)
        return Retalker(config, last.parts)


def _networks_of(config: InferenceConfig) -> dict[str, object]:
    return section_values(config, [FaceNetworksSection, MouthNetworksSection, RunnerSection])
