"""From videos of a person to the folder that ``--speaker`` names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import weights
from models.speech.lip_shapes import LipShapeNet
from retalking.errors import ConfigError, FaceNotFoundError
from retalking.files import replacing, sha256_of
from retalking.inference.pipeline import Retalker
from retalking.mouth.person import Person
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.price import spread_of
from retalking.mouth.warp.lip_range import LipRange, measure_range
from retalking.networks.options import ENCODER_KEY, OWN_LIPS_FILE, PERSON_FILE, SOUNDS_FILE
from retalking.personal.advice import advise
from retalking.personal.own_sounds import place_sounds
from retalking.personal.own_speech import OwnSpeechFit, fit_own_speech
from retalking.personal.studied_video import StudiedVideo, study_video
from retalking.personal.talk_piece import TalkPiece
from retalking.speech.lip_shapes import ENCODER_PATH, LIP_SHAPES_PATH, SHAPE_NAMES
from retalking.speech.sounds import SoundSpace
from retalking.types import Float64Array

REPORT_FILE = "person.json"
MOST_BANK_BYTES = 40 << 20
"""Of the pictures in a bank; with landmarks and all, a person stays below 50 MB."""


@dataclass(frozen=True)
class Learnt:
    """A person, and what is to be said of it.

    Attributes:
        person: to be saved.
        lips: fitted network and how well it tells lips.
        sounds: where they lie; ``None`` if too little speech is known.
        advice: one sentence each, see ``advise``.
        videos: what was looked at.
    """

    person: Person
    lips: OwnSpeechFit
    sounds: SoundSpace | None
    advice: tuple[str, ...]
    videos: tuple[StudiedVideo, ...]

    def save(self, folder: Path) -> None:
        """Write the folder; of one that holds a person already, the files are replaced.

        Raises:
            ConfigError: the folder holds something else.
            MediaError: it cannot be written.
            WeightsError: likewise.
        """
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.person.save(folder)
        own = folder / OWN_LIPS_FILE
        if self.lips.network is not None:
            bases = {"base": sha256_of(LIP_SHAPES_PATH), ENCODER_KEY: sha256_of(ENCODER_PATH)}
            weights.save(own, self.lips.network, bases)
        else:
            own.unlink(missing_ok=True)
        if self.sounds is not None:
            self.sounds.save(folder / SOUNDS_FILE)
        else:
            (folder / SOUNDS_FILE).unlink(missing_ok=True)
        with replacing(folder / REPORT_FILE) as partial:
            partial.write_text(json.dumps(self.report(), indent=2) + "\n", encoding="utf-8")

    def report(self) -> dict[str, object]:
        """Return what is known of the person, for people to read."""
        correlations = zip(SHAPE_NAMES, self.lips.before, self.lips.after, strict=True)
        return {
            "videos": {
                video.path.name: {
                    "seconds": round(video.seconds, 2),
                    "sound_later_s": round(video.speech.fit.offset_s, 3) if video.speech else None,
                    "speech_fits": round(video.speech.fit.fit, 3) if video.speech else None,
                }
                for video in self.videos
            },
            "mouths": len(self.person.bank),
            "bank_mb": round(self.person.bank.num_bytes / 1e6, 1),
            "lips_fitted": self.lips.network is not None,
            "correlation_on_pieces_left_out": {
                name: {"common": round(float(before), 3), "own": round(float(after), 3)}
                for name, before, after in correlations
            },
            "advice": list(self.advice),
        }


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not this program's to write to.

    Raises:
        ConfigError: it is a file, or holds files but no person.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder}: is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / PERSON_FILE).is_file():
        raise ConfigError(
            f"--out {folder}: holds files that are no person; name a new folder, or an empty one"
        )


def learn_person(paths: Sequence[Path], retalker: Retalker, progress: bool = False) -> Learnt:
    """Learn a person from videos.

    Args:
        paths: of videos that show the same person.
        retalker: of a profile whose mouth is ``warp``, without a speaker.
        progress: show bars on stderr.

    Raises:
        MediaError: a video cannot be read.
        FaceNotFoundError: one shows no face, or none a mouth that can be lent.
    """
    videos = [study_video(path, retalker, progress) for path in paths]
    sounds, banks = place_sounds(videos, sha256_of(ENCODER_PATH))
    if not banks:
        raise FaceNotFoundError("no video shows a mouth that is neither blurred nor hidden")
    bank = MouthBank.join(banks)
    bank = bank.within(MOST_BANK_BYTES, spread_of(bank.faces.angles, bank.faces.lips))
    lip_range = measure_range(np.concatenate([video.lips for video in videos]))
    assert retalker.parts.listener is not None
    lips = learn_speech(videos, lip_range, retalker.parts.listener.shapes)
    return Learnt(Person(lip_range, bank), lips, sounds, tuple(advise(videos)), tuple(videos))


def learn_speech(
    videos: Sequence[StudiedVideo], lip_range: LipRange, common: LipShapeNet
) -> OwnSpeechFit:
    """Fit the network to the videos whose speech belongs to the lips, brought in step."""
    talks = []
    for video in videos:
        speech = video.speech
        if speech is None or not speech.fits:
            continue
        steps = speech.steps(video.time_s)
        inside = (steps >= 0) & (steps < speech.heard.shape[1])
        lips: Float64Array = (video.lips - lip_range.mean) / lip_range.deviation
        talks.append(TalkPiece(speech.heard, steps[inside], lips[inside]))
    return fit_own_speech(common, talks)
