"""Samples for speech to lip shapes: what is heard, and what the lips do.

The part ``heard`` of a store holds the features of each clip's speech, as it is and recorded again
under other conditions, so that training needs no encoder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.room import disturb_speech, other_voice
from datasets.sampling import DrawnWindow, WindowSampler
from datasets.store.format import FRAME_RATE, TRACKS
from datasets.store.reader import ClipFilter, Store, StoredClip
from models.speech.encoder import SpeechEncoder
from retalking.coefficients.basis import fit_pose
from retalking.config import Schema
from retalking.face.smoothing import savitzky_golay
from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.mouth.warp.lip_measures import measure_lips
from retalking.mouth.warp.turns import level_lips
from retalking.speech.features import hear_track
from retalking.speech.windows import STEP_S, STEP_SAMPLES, Hearing
from retalking.types import AudioClip, FloatArray

HEARD = "heard"
STEPS_PER_FRAME = round(1 / FRAME_RATE / STEP_S)
_SMOOTHED_FRAMES, _SMOOTHED_ORDER = 5, 2
_LONG_FRAMES = 75
"""Clips from three seconds on tell their speaker's range by themselves."""
_FARTHEST = 4.0
_LEAST_SPREAD = 1e-4
_LEAST_FEATURE_SPREAD = 1e-3
_CLEAN = "0"


def hear_copies(clip: StoredClip, encoder: SpeechEncoder, num_copies: int) -> dict[str, np.ndarray]:
    """Listen to the stored speech of a clip and to disturbed copies of it.

    Args:
        clip: prepared with its audio.
        encoder: see there.
        num_copies: disturbed ones; the same ones every time.

    Returns:
        float16 ``[T, C]`` on the 20 ms grid from the first frame on, by the number of the copy:
        ``0`` as it is, ``1`` and more disturbed.
    """
    audio: FloatArray = clip.array(TRACKS, "audio").astype(np.float32) / np.float32(32767)
    audio = np.pad(audio, (0, -len(audio) % STEP_SAMPLES))
    rng = np.random.default_rng(list(clip.name.encode()))

    def listen(samples: FloatArray) -> FloatArray:
        return hear_track(AudioClip(samples, SAMPLE_RATE_HZ), encoder, Hearing.offline())

    heard = [listen(audio)]
    for _ in range(num_copies):
        high = other_voice(disturb_speech(audio, rng), rng)
        heard.append(_stretch(listen(high), heard[0].shape[1]))
    return {str(number): track.T.astype(np.float16) for number, track in enumerate(heard)}


def _stretch(track: FloatArray, count: int) -> FloatArray:
    """Bring features ``[C, T]`` of speech that was made faster or slower back to its own time."""
    places = np.arange(count) * (track.shape[1] / count)
    return np.stack([np.interp(places, np.arange(track.shape[1]), row) for row in track])


class LipDataSettings(Schema):
    """Where samples come from."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""
    num_frames: int = Field(ge=1)
    """Frames of a sample whose lips count."""
    margin_frames: int = Field(ge=0)
    """Frames before and after these whose speech is heard as well."""
    clean: float = Field(ge=0, le=1)
    """Share of samples with undisturbed speech."""


class LipSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        heard: float32 ``[C, S]`` features of speech, 50 per second.
        steps: int64 ``[T]``, the column of ``heard`` at the time of each frame that counts.
        shapes: float32 ``[T, 5]`` in the speaker's standard deviations.
        clip_ids: name of the clip.
    """

    heard: Tensor
    steps: Tensor
    shapes: Tensor
    clip_ids: str


def read_shapes(store: Store, rows: Sequence[int], mean_shape: FloatArray) -> dict[int, FloatArray]:
    """Measure the lips of clips and express them in standard deviations of their speaker.

    Short clips share the mean and deviation of all short clips of the same person.

    Args:
        store: see there.
        rows: of its index.
        mean_shape: ``[68, 3]`` of the average person (``ExpressionBasis.mean_shape``), by which
            the pose of a head is told.

    Returns:
        float32 ``[F, 5]`` by row.
    """
    measured = {row: _measure(store.clip(row), mean_shape) for row in rows}
    people: dict[object, list[int]] = defaultdict(list)
    for row, lips in measured.items():
        long = len(lips) >= _LONG_FRAMES
        people[row if long else store.index["identity"][row].decode()].append(row)
    shapes = {}
    for members in people.values():
        every = np.concatenate([measured[row] for row in members])
        mean, spread = every.mean(axis=0), np.maximum(every.std(axis=0), _LEAST_SPREAD)
        for row in members:
            relative = (measured[row] - mean) / spread
            shapes[row] = relative.clip(-_FARTHEST, _FARTHEST).astype(np.float32)
    return shapes


def _measure(clip: StoredClip, mean_shape: FloatArray) -> np.ndarray:
    points = np.concatenate(
        [clip.array(TRACKS, "landmarks_px"), clip.array(TRACKS, "depth_px")[..., None]], axis=-1
    ).astype(np.float64)
    if len(points) >= _SMOOTHED_FRAMES:
        points = savitzky_golay(points, _SMOOTHED_FRAMES, _SMOOTHED_ORDER)
    pose = fit_pose(points, mean_shape)
    return level_lips(measure_lips(pose.normalise(points)), pose.angles_rad.astype(np.float64))


def read_clean(clip: StoredClip) -> FloatArray:
    """Read the features of a clip's undisturbed speech, float32 ``[S, C]``."""
    return clip.array(HEARD, _CLEAN).astype(np.float32)


class LipDraws:
    """Numbered samples of a store; ``len`` counts the different windows."""

    def __init__(self, settings: LipDataSettings, seed: int, mean_shape: FloatArray) -> None:
        """Open the store and measure all lips.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._settings = settings
        self._store = Store(settings.store)
        needs = ClipFilter(splits=(), parts=(HEARD,), min_frames=settings.num_frames, speech=True)
        self._sampler = WindowSampler(
            self._store, settings.splits, needs, settings.num_frames, seed
        )
        self._shapes = read_shapes(self._store, self._sampler.rows.tolist(), mean_shape)

    def __len__(self) -> int:
        return self._sampler.num_windows

    @property
    def shapes(self) -> list[FloatArray]:
        """The lips of each clip, ``[F, 5]``."""
        return list(self._shapes.values())

    def feature_statistics(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation ``[C]`` of the undisturbed features."""
        moments, count = np.zeros((2, 1)), 0
        for row in self._shapes:
            heard = read_clean(self._store.clip(row)).astype(np.float64)
            moments = moments + np.stack([heard.sum(axis=0), np.square(heard).sum(axis=0)])
            count += len(heard)
        mean, power = moments / count
        spread = np.sqrt(np.maximum(power - mean**2, 0)) + _LEAST_FEATURE_SPREAD
        return mean.astype(np.float32), spread.astype(np.float32)

    def __getitem__(self, draw: int) -> LipSample:
        """Return the sample of that number."""
        settings = self._settings
        drawn = self._sampler(draw)
        counted = drawn.start + np.arange(settings.num_frames)
        margin = settings.margin_frames
        first, end = drawn.start - margin, drawn.start + settings.num_frames + margin
        heard = self._read(drawn, STEPS_PER_FRAME * first, STEPS_PER_FRAME * end)
        return LipSample(
            heard=torch.from_numpy(np.ascontiguousarray(heard.T)),
            steps=torch.from_numpy(STEPS_PER_FRAME * (counted - first)),
            shapes=torch.from_numpy(self._shapes[drawn.row][counted]),
            clip_ids=drawn.clip.name,
        )

    def _read(self, drawn: DrawnWindow, first: int, end: int) -> FloatArray:
        """Read steps of one of the copies; what lies outside the clip repeats its ends."""
        copies = len(drawn.clip.array_names(HEARD))
        disturbed = copies > 1 and drawn.rng.random() >= self._settings.clean
        copy = str(drawn.rng.integers(1, copies)) if disturbed else _CLEAN
        low, high = max(first, 0), min(end, STEPS_PER_FRAME * drawn.num_frames)
        heard = drawn.clip.rows(HEARD, copy, low, high).astype(np.float32)
        return np.pad(heard, ((low - first, end - high), (0, 0)), mode="edge")
