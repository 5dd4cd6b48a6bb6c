"""What it costs to lend a mouth: another pose, other lips, another sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.mouth.warp.lending.faces import LendingFaces
from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.speaker import Speaker
from retalking.speech.sounds import distances
from retalking.types import Float64Array, FloatArray, IntArray

_ANGLES = np.array([1.0, 1.0, 0.2])  # price of a radian of pitch, yaw and roll
_LIPS = np.array([1.0, 0.8, 0.4, 0.4, 0.3])  # price of a unit of each measure
_CLOSE, _NEARLY_CLOSED = 0.16, 0.02
_NOTHING_INSIDE = 1.0  # further price of lips that would have to be drawn apart, a unit
_SIZE = 0.3  # price of a face e times as large or small
_SOUND = 0.3  # price of a mouth that was said with a sound as far off as any
_UNKNOWN_SOUND = 0.7  # of that, for a mouth of which the sound is unknown
_LIPS_BESIDE_SOUNDS = 2.0  # how much dearer lips are where sounds count too
_TOO_NEAR = 9.0


@dataclass(frozen=True)
class Pool:
    """Candidates of one shot, or of a bank.

    Attributes:
        frames: int64 ``[K]``, increasing.
        flaws: ``[K]``, what each costs in any case.
        faces: of them.
        time_s: float64 ``[K]``, when each is shown; infinite for those of a bank.
        sounds: float32 ``[K, D]``, see ``MouthBank``.
    """

    frames: IntArray
    flaws: Float64Array
    faces: LendingFaces
    time_s: Float64Array
    sounds: FloatArray


def spread_of(angles: Float64Array, lips: Float64Array) -> Float64Array:
    """Return poses ``[K, 3]`` and lips ``[K, 5]`` on the scales of their price, ``[K, 8]``."""
    return np.concatenate([_ANGLES * angles, _LIPS * lips], axis=1)


def join_pools(pools: list[Pool]) -> Pool:
    """Put the candidates of several into one, in the order of their numbers."""
    frames = np.concatenate([pool.frames for pool in pools])
    order = np.argsort(frames)
    return Pool(
        frames[order],
        np.concatenate([pool.flaws for pool in pools])[order],
        LendingFaces.join([pool.faces for pool in pools]).rows(order),
        np.concatenate([pool.time_s for pool in pools])[order],
        np.concatenate([pool.sounds for pool in pools])[order],
    )


def _felt(lips: Float64Array) -> Float64Array:
    """Lips as one sees them: between closed and nearly closed they differ more than when open."""
    felt = lips.copy()
    felt[:, OPENING] += _CLOSE * np.log1p(np.maximum(lips[:, OPENING], 0) / _NEARLY_CLOSED)
    return felt


def price(
    pool: Pool,
    speaker: Speaker,
    wanted: Float64Array,
    shown: IntArray,
    time_s: Float64Array,
    keep_away_s: float,
    sounds: FloatArray | None = None,
) -> Float64Array:
    """Price every candidate for some output frames.

    Args:
        pool: ``K`` candidates.
        speaker: of the video.
        wanted: measures of the lips ``[R, 5]``.
        shown: int64 ``[R]``, the source frames that are shown.
        time_s: float64 ``[F]``, when the frames of the source are shown.
        keep_away_s: candidates nearer in time than this are not to be taken.
        sounds: ``[R, D]`` that are said; ``None`` if they do not count.

    Returns:
        ``[R, K]``.
    """
    faces = pool.faces
    turned = speaker.head.angles[shown][:, None] - faces.angles
    cost = np.linalg.norm(turned * _ANGLES, axis=-1) + pool.flaws
    missing = _felt(wanted)[:, None] - _felt(faces.lips)
    cost += np.abs(missing) @ (_LIPS if sounds is None else _LIPS_BESIDE_SOUNDS * _LIPS)
    cost += _NOTHING_INSIDE * np.maximum(missing[..., OPENING], 0)
    size = np.log(speaker.head.pose.scale_px[shown])
    cost += _SIZE * np.abs(size[:, None] - np.log(faces.scale_px))
    if sounds is not None:
        apart = distances(sounds, pool.sounds)
        cost += _SOUND * np.nan_to_num(apart, nan=_UNKNOWN_SOUND)
    if keep_away_s > 0:
        near = np.abs(time_s[shown][:, None] - pool.time_s) < keep_away_s
        cost += _TOO_NEAR * near
    return cost
