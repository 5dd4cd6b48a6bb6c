"""Whole clips for validation: do the lips that a network makes move with the true ones.

The visible upper half of a face leaks some lip motion, so every network is also given the speech
of another part of the clip; what counts is how much worse it does then. ``F`` counts frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.sampling import nearest_in_pose
from datasets.store.format import LIPS, TRACKS
from datasets.store.reader import ClipFilter, Store, StoredClip
from datasets.store.sound import read_sound
from models.syncnet import SyncExpert
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import lip_opening
from retalking.media.images import to_tensor, to_uint8
from retalking.metrics.lip_agreement import lip_agreement
from retalking.metrics.lip_sync.judges import ExpertJudge
from retalking.metrics.lip_sync.sync import MIN_FRAMES, WINDOW_FRAMES, judge_windows
from retalking.training.distributed import Ranks
from retalking.training.scores import average_samples
from retalking.types import AudioClip, FloatArray, UInt8Array

Synthesise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Mel windows ``[F, 1, 80, 16]``, faces and references ``[F, 3, S, S]`` to faces, all in [0, 1]."""


@dataclass(frozen=True)
class Speech:
    """What is heard and how far the lips are open.

    Attributes:
        mels: float32 ``[F, 1, 80, 16]``.
        shifted_mels: the same of half a clip later, going round at its end.
        openings: float32 ``[F]``, see ``ibug68.lip_opening``.
    """

    mels: FloatArray
    shifted_mels: FloatArray
    openings: FloatArray


@dataclass(frozen=True)
class TalkingFace:
    """What a lip network needs to speak a part of a clip again.

    Attributes:
        speech: of the frames.
        faces: uint8 ``[F, S, S, 3]``.
        references: uint8 ``[F, S, S, 3]``, of frames whose lips are rather closed.
        landmarks_px: float32 ``[68, 2]``, mean over the frames, to look for the face near there.
        sound: of the frames.
    """

    speech: Speech
    faces: UInt8Array
    references: UInt8Array
    landmarks_px: FloatArray
    sound: AudioClip | None


def choose_clips(store: Store, needs: ClipFilter, num_clips: int) -> list[StoredClip]:
    """Return clips of different people, as far as there are, evenly from the alphabet.

    Raises:
        ConfigError: no clip fits.
    """
    rows = store.select(needs)
    _, first_of_each = np.unique(store.index["identity"][rows], return_index=True)
    people = rows[first_of_each]
    chosen = np.linspace(0, len(people) - 1, min(num_clips, len(people))).round().astype(int)
    return [store.clip(int(people[place])) for place in chosen]


def read_speech(clip: StoredClip, max_frames: int) -> Speech:
    """Read the frames in the middle of a clip, ``max_frames`` at most."""
    openings = clip.array(TRACKS, "opening")
    total = len(openings)
    mels = clip.mel_windows(0, total)
    frames = _middle(total, max_frames)
    shifted = (np.arange(frames.start, frames.stop) + total // 2) % total
    return Speech(mels[frames.start : frames.stop], mels[shifted], openings[frames])


def read_face(clip: StoredClip, size_px: int, max_frames: int) -> TalkingFace:
    """Read the frames in the middle of a clip with closed-mouth references of like pose."""
    part, openings = f"{LIPS}_{size_px}", clip.array(TRACKS, "opening")
    frames = _middle(len(openings), max_frames)
    pose = clip.array(TRACKS, "pose")
    closed = np.argsort(openings, kind="stable")[: max(len(openings) // 4, 1)]
    references = [
        nearest_in_pose(pose, frame, closed, 1) for frame in range(frames.start, frames.stop)
    ]
    points = clip.landmarks("lip", frames.start, frames.stop, size_px)
    return TalkingFace(
        speech=read_speech(clip, max_frames),
        faces=clip.pictures(part, range(frames.start, frames.stop)),
        references=clip.pictures(part, np.array(references)),
        landmarks_px=points.mean(axis=0),
        sound=read_sound(clip, frames),
    )


def read_talkers(
    folder: Path, splits: Sequence[str], size_px: int, num_clips: int, frames: int, least: int = 1
) -> list[TalkingFace]:
    """Read clips in which different people speak.

    Args:
        folder: of a store.
        splits: of the people.
        size_px: of the lip crops.
        num_clips: most of them, at least one is found.
        frames: most of each.
        least: frames of which a clip has as many and more.

    Raises:
        ConfigError: no clip fits, or no store.
    """
    suitable = ClipFilter(tuple(splits), (f"{LIPS}_{size_px}",), least, speech=True)
    clips = choose_clips(Store(folder), suitable, num_clips)
    return [read_face(clip, size_px, frames) for clip in clips]


def _middle(total: int, most: int) -> slice:
    count = min(total, most)
    return slice((total - count) // 2, (total - count) // 2 + count)


class LipAgreement:
    """Measures the lips that a network makes against the true ones, every rank its share of clips.

    Args:
        faces: all clips, the same on every rank.
        landmarker: sees the true lips as it sees the made ones.
        ranks: all of which call ``score``.
        expert: judges clips of half a second and more by LSE-D and LSE-C, if it is given and sees
            windows of five frames, as these measures are defined.
    """

    def __init__(
        self,
        faces: list[TalkingFace],
        landmarker: Landmarker,
        ranks: Ranks,
        expert: SyncExpert | None = None,
    ) -> None:
        self._ranks = ranks
        judges = expert is not None and expert.config.num_frames == WINDOW_FRAMES
        self._expert = ExpertJudge(expert, ranks.device) if expert is not None and judges else None
        self._faces = ranks.share(faces)
        self._landmarker = landmarker
        self._true = [self._measure(face, face.faces) for face in self._faces]

    def score(self, synthesise: Synthesise) -> dict[str, float]:
        """Let the network speak every clip, with the right and with shifted speech.

        Returns:
            See ``retalking.metrics.lip_agreement``; with an expert its ``lse_d`` and ``lse_c`` too,
            and those of the true lips as ``true_lse_d`` and ``true_lse_c``.
        """
        right: list[FloatArray] = []
        shifted: list[FloatArray] = []
        judged: list[dict[str, float]] = []
        for face in self._faces:
            pictures = [to_tensor(rgb, self._ranks.device) for rgb in (face.faces, face.references)]
            made = _speak(synthesise, face.speech.mels, *pictures)
            right.append(self._measure(face, made))
            other = _speak(synthesise, face.speech.shifted_mels, *pictures)
            shifted.append(self._measure(face, other))
            if len(made) >= MIN_FRAMES:
                judged.append(self._judge(face, made, "") | self._judge(face, face.faces, "true_"))
        agreement = lip_agreement(*map(self._ranks.gather, (right, shifted, self._true)))
        return agreement | average_samples(judged, self._ranks)

    @torch.no_grad()
    def _judge(self, face: TalkingFace, pictures: UInt8Array, prefix: str) -> dict[str, float]:
        if self._expert is None:
            return {}
        lips = self._expert.embed_lips(pictures)
        distance, confidence, _ = judge_windows(
            lips, self._expert.embed_mels(face.speech.mels[: len(lips)])
        )
        return {f"{prefix}lse_d": distance, f"{prefix}lse_c": confidence}

    def _measure(self, face: TalkingFace, pictures: UInt8Array) -> FloatArray:
        # Where to look is the same for every frame, or the true chin would tell the opening.
        around = np.broadcast_to(face.landmarks_px, (len(pictures), 68, 2))
        points, _ = self._landmarker.follow(pictures, around)
        return lip_opening(points)


@torch.no_grad()
def _speak(
    synthesise: Synthesise, mels: FloatArray, faces: Tensor, references: Tensor
) -> UInt8Array:
    heard = torch.from_numpy(mels).to(faces.device)
    parts = zip(heard.split(32), faces.split(32), references.split(32), strict=True)
    return np.concatenate([to_uint8(synthesise(*part)) for part in parts])
