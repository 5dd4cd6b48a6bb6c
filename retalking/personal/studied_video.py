"""What one video shows and tells of a person. ``F`` counts its frames that show the face."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from retalking.coefficients.basis import ExpressionBasis
from retalking.errors import MediaError
from retalking.face.affine import transform_points
from retalking.inference.pipeline import Retalker
from retalking.media.memory import MOUTHS_BYTES
from retalking.media.sound import audio
from retalking.metrics.speech_fit import SpeechFit, fit_speech
from retalking.mouth.warp.face_area import face_area
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.candidates import spread_candidates
from retalking.mouth.warp.lending.lenders import (
    BYTES_PER_SQUARE,
    LentMouth,
    find_flaws,
    mouth_width,
    read_lenders,
)
from retalking.mouth.warp.lending.price import spread_of
from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.speaker import Speaker, study_speaker
from retalking.mouth.warp.visibility import UsualFace
from retalking.rendering.masks import JAW
from retalking.rendering.scene import Scene
from retalking.speech.features import hear_track
from retalking.speech.lip_shapes import LipListener
from retalking.speech.voice_activity import hear_voice
from retalking.speech.windows import STEP_S, Hearing
from retalking.types import FaceTrack, Float64Array, FloatArray, IntArray

logger = logging.getLogger(__name__)

FITTING = 0.4
"""``SpeechFit.fit`` from which speech and lips belong together."""
_FLAWED = 0.5  # of ``find_flaws``, from which a mouth is too blurred or hidden to be kept
_MOST_JAWS = 2000
MOST_MOUTHS = 1500
"""Of one video that are kept: a minute of 25 frames a second."""
_SPEAKING = 0.5


@dataclass(frozen=True)
class OwnSpeech:
    """What is heard in a video.

    Attributes:
        heard: float32 ``[C, T]`` every 20 ms, see ``retalking.speech.features.hear``.
        fit: how the speech and the lips fit.
        speaking: share of the time in which somebody speaks.
    """

    heard: FloatArray
    fit: SpeechFit
    speaking: float

    @property
    def fits(self) -> bool:
        """Whether it belongs to the lips."""
        return self.fit.fit >= FITTING

    def steps(self, time_s: Float64Array) -> IntArray:
        """Return columns of ``heard`` for frames, brought in step; some may lie outside of it."""
        return np.rint((time_s + self.fit.offset_s) / STEP_S).astype(np.int64)


@dataclass(frozen=True)
class StudiedVideo:
    """One video.

    Attributes:
        path: of it.
        num_frames: with and without the face.
        time_s: float64 ``[F]``, when the frames are shown.
        angles: float64 ``[F, 3]`` pitch, yaw, roll in radians.
        lips: float64 ``[F, 5]``.
        mouth_px: typical size of the mouth.
        brightness: mean of the lower face in 0..255, over frames.
        flawed: share of the mouths looked at that are blurred or hidden.
        bank: the others; ``None`` if there are none.
        mouths_s: float64 ``[B]``, when those of the bank are shown.
        speech: ``None`` without sound.
    """

    path: Path
    num_frames: int
    time_s: Float64Array
    angles: Float64Array
    lips: Float64Array
    mouth_px: float
    brightness: float
    flawed: float
    bank: MouthBank | None
    mouths_s: Float64Array
    speech: OwnSpeech | None

    @property
    def seconds(self) -> float:
        """How long the face is seen."""
        steps = np.diff(self.time_s)
        return len(self.time_s) * float(np.median(steps)) if len(steps) else 0.0


def study_video(path: Path, retalker: Retalker, progress: bool = False) -> StudiedVideo:
    """Look at a video and listen to it.

    Args:
        path: of it.
        retalker: of a profile whose mouth is ``warp``.
        progress: show a bar on stderr.

    Raises:
        MediaError: it cannot be read.
        FaceNotFoundError: it shows no face.
    """
    with retalker.prepare(path, progress) as scene:
        analysis, track = scene.analysis, scene.analysis.track
        speaker = study_speaker(track, ExpressionBasis.from_file(), scene.pads)
        seen = np.flatnonzero(track.detected)
        bank, flawed, brightness = _collect_mouths(scene, speaker)
        assert retalker.parts.listener is not None
        opening = np.where(track.detected, speaker.lips[:, OPENING], np.nan)
        return StudiedVideo(
            path=path,
            num_frames=len(track),
            time_s=analysis.time_s[seen],
            angles=speaker.head.angles[seen],
            lips=speaker.lips[seen],
            mouth_px=float(np.median(mouth_width(speaker.landmarks_px[seen, :, :2]))),
            brightness=brightness,
            flawed=flawed,
            bank=bank,
            mouths_s=analysis.time_s[[] if bank is None else bank.numbers],
            speech=_listen(path, retalker.parts.listener, analysis.time_s, opening),
        )


def _collect_mouths(scene: Scene, speaker: Speaker) -> tuple[MouthBank | None, float, float]:
    """Mouths worth keeping, the share of those that are not, and how bright the face is."""
    analysis, track = scene.analysis, scene.analysis.track
    areas = {}
    for shot in np.unique(track.shot_id[track.detected]).tolist():
        frames = np.flatnonzero(track.detected & (track.shot_id == shot))
        some = frames[:: -(-len(frames) // _MOST_JAWS)]
        jaws = speaker.landmarks_px[some, JAW, :2].astype(np.float64)
        areas[shot] = face_area(transform_points(speaker.to_lips[some], jaws))
    numbers, flaws, mouths, glances = [], [], list[LentMouth](), []
    for shot, frames in choose_mouths(track, speaker).items():
        lenders = read_lenders(
            scene.source, analysis.pts, speaker.landmarks_px[..., :2], speaker.to_lips, frames
        )
        moves = speaker.moves(frames)
        usual = UsualFace.of(lenders.glances, moves, areas[shot])
        found = find_flaws(lenders, moves, usual)
        good = found < _FLAWED
        numbers.append(frames[good])
        flaws.append(found)
        mouths += [lenders.mouths[frame] for frame in frames[good].tolist()]
        glances.append(lenders.glances.mean(axis=(1, 2, 3)))
    every, kept = np.concatenate(flaws), np.concatenate(numbers)
    bank = None
    if len(kept):
        good_flaws = every[every < _FLAWED]
        bank = MouthBank.of(kept, good_flaws, speaker.faces(kept), mouths)
    return bank, float((every >= _FLAWED).mean()), float(np.concatenate(glances).mean())


def choose_mouths(track: FaceTrack, speaker: Speaker) -> dict[int, IntArray]:
    """Return frames of each shot whose mouths are looked at, spread over poses and lips.

    A dub holds the mouths of its own video as pixels and looks for few; a bank is made once, and
    every mouth of a minute has its place in it. Only the pixels of one video are held at once.

    Args:
        track: of the video.
        speaker: of it.
    """
    seen = np.flatnonzero(track.detected)
    width = mouth_width(speaker.landmarks_px[seen, :, :2])
    fits = MOUTHS_BYTES / (BYTES_PER_SQUARE * float(np.square(width).mean()))
    features = spread_of(speaker.head.angles, speaker.lips)
    chosen = {}
    for shot in np.unique(track.shot_id[seen]).tolist():
        frames = seen[track.shot_id[seen] == shot]
        most = int(min(fits, MOST_MOUTHS) * len(frames) / len(seen))
        chosen[shot] = spread_candidates(frames, features[frames], max(most, 1))
    return chosen


def _listen(
    path: Path, listener: LipListener, seen_s: Float64Array, opening: Float64Array
) -> OwnSpeech | None:
    try:
        clip = audio.load(path)
    except MediaError as error:
        logger.info("%s: %s", path, error)
        return None
    heard = hear_track(clip, listener.encoder, Hearing.offline())
    told = guess_shapes(listener, heard)[:, OPENING]
    fit = fit_speech(np.arange(len(told), dtype=np.float64) * STEP_S, told, seen_s, opening)
    speaking = float((hear_voice(clip, listener.voice) > _SPEAKING).mean())
    return OwnSpeech(heard, fit, speaking)


@torch.inference_mode()
def guess_shapes(listener: LipListener, heard: FloatArray) -> FloatArray:
    """Tell lips ``[T, 5]`` in standard deviations from what is heard ``[C, T]``."""
    guess: FloatArray = listener.shapes(torch.from_numpy(heard)[None]).mean[0].numpy().T
    return guess
