"""Whole clips for validation: do the lips that a network makes move with the true ones.

The visible upper half of a face leaks some lip motion, so every network is also given the speech
of another part of the clip; what counts is how much worse it does then. ``F`` counts frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.sampling import nearest_in_pose
from datasets.store.format import TRACKS
from datasets.store.reader import ClipFilter, Store, StoredClip
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import lip_opening
from retalking.media.images import to_tensor, to_uint8
from retalking.metrics.lip_agreement import lip_agreement
from retalking.types import FloatArray, UInt8Array

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
    """

    speech: Speech
    faces: UInt8Array
    references: UInt8Array
    landmarks_px: FloatArray


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
    part, openings = f"lips_{size_px}", clip.array(TRACKS, "opening")
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
    )


def _middle(total: int, most: int) -> slice:
    count = min(total, most)
    return slice((total - count) // 2, (total - count) // 2 + count)


class LipAgreement:
    """Measures the lips that a network makes against the true ones."""

    def __init__(self, faces: list[TalkingFace], landmarker: Landmarker) -> None:
        """Measure the true lips with the same eyes as the made ones."""
        self._faces = faces
        self._landmarker = landmarker
        self._true = [self._measure(face, face.faces) for face in faces]

    def score(self, synthesise: Synthesise, device: torch.device) -> Mapping[str, float]:
        """Let the network speak every clip, with the right and with shifted speech.

        Returns:
            See ``retalking.metrics.lip_agreement``.
        """
        right: list[FloatArray] = []
        shifted: list[FloatArray] = []
        for face in self._faces:
            pictures = [to_tensor(rgb, device) for rgb in (face.faces, face.references)]
            for mels, made in ((face.speech.mels, right), (face.speech.shifted_mels, shifted)):
                made.append(self._measure(face, _speak(synthesise, mels, *pictures)))
        return lip_agreement(right, shifted, self._true)

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
