"""Lenders for a whole video: candidates of every shot, their price, the cheapest sequence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.media.source import Source
from retalking.mouth.coverings import warn_of_coverings
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.candidates import shares_of_shots, spread_candidates
from retalking.mouth.warp.lending.faces import LendingFaces, PlacedMouth
from retalking.mouth.warp.lending.lender_plan import LenderPlan, choose_lenders, fade_jumps
from retalking.mouth.warp.lending.lenders import (
    BYTES_PER_SQUARE,
    find_flaws,
    mouth_width,
    read_lenders,
)
from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.speaker import Speaker
from retalking.mouth.warp.visibility import UsualFace
from retalking.rendering.edit_plan import EditPlan
from retalking.types import Float64Array, FloatArray, IntArray, VideoAnalysis

_ANGLES = np.array([1.0, 1.0, 0.2])  # price of a radian of pitch, yaw and roll
_LIPS = np.array([1.0, 0.8, 0.4, 0.4, 0.3])  # price of a unit of each measure
_CLOSE, _NEARLY_CLOSED = 0.16, 0.02
_NOTHING_INSIDE = 1.0  # further price of lips that would have to be drawn apart, a unit
_SIZE = 0.3  # price of a face e times as large or small
_FOREIGN_SHOT = 0.15
_BANK = 0.02  # price of a mouth of another video: light that differs is taken from it (mouth_patch)
_FEW = 50  # candidates, below which other shots lend too
_TOO_NEAR = 9.0
_ROWS = 128  # output frames that are priced at once


@dataclass(frozen=True)
class _Pool:
    """Candidates of one shot, or of a bank.

    Attributes:
        frames: int64 ``[K]``, increasing.
        flaws: ``[K]``, what each costs in any case.
        faces: of them.
        time_s: float64 ``[K]``, when each is shown; infinite for those of a bank.
    """

    frames: IntArray
    flaws: Float64Array
    faces: LendingFaces
    time_s: Float64Array


@dataclass(frozen=True)
class Lending:
    """What is lent in a video.

    Attributes:
        plan: lenders of every output frame.
        mouths: all that the plan names, by number: a frame of the video, or above all of these
            a mouth of the bank.
        usual: by shot, how it shows the face; ``None`` where that is unknown.
    """

    plan: LenderPlan
    mouths: Mapping[int, PlacedMouth]
    usual: Mapping[int, UsualFace | None]


@dataclass(frozen=True)
class Offers:
    """What a video, and a bank, have to lend.

    Attributes:
        usual: by shot, how it shows the face; ``None`` where that is unknown.
        find: the mouth of a number.
    """

    usual: Mapping[int, UsualFace | None]
    find: Callable[[int], PlacedMouth]
    _pools: Mapping[int, _Pool]
    _analysis: VideoAnalysis
    _speaker: Speaker
    _keep_away_s: float

    def choose(self, wanted: Float64Array, index: IntArray, before: int | None = None) -> IntArray:
        """Choose the cheapest lenders for consecutive frames of one shot.

        Args:
            wanted: measures of the lips ``[R, 5]``.
            index: int64 ``[R]``, the source frames that are shown.
            before: lender of the frame before these; ``None`` if a run begins.

        Returns:
            int64 ``[R]``, numbers of mouths.
        """
        pool = self._pools[int(self._analysis.track.shot_id[index[0]])]
        time_s, away_s = self._analysis.time_s, self._keep_away_s
        costs = (
            row
            for part in np.split(np.arange(len(index)), range(_ROWS, len(index), _ROWS))
            for row in _price(pool, self._speaker, wanted[part], index[part], time_s, away_s)
        )
        chosen: IntArray = pool.frames[choose_lenders(costs, pool.frames, before=before)]
        return chosen


def gather_offers(
    source: Source,
    analysis: VideoAnalysis,
    speaker: Speaker,
    areas: Mapping[int, FloatArray],
    keep_away_s: float = 0.0,
    bank: MouthBank | None = None,
) -> Offers:
    """Read the mouths that a video may lend.

    Args:
        source: the video.
        analysis: of it.
        speaker: of the video.
        areas: by shot, where the face is in the lip crop; only these shots lend.
        keep_away_s: frames nearer in time than this lend nothing to one another.
        bank: mouths of the same person from other videos.
    """
    candidates = choose_candidates(analysis, speaker, areas)
    everyone = np.sort(np.concatenate(list(candidates.values())))
    lenders = read_lenders(
        source, analysis.pts, speaker.landmarks_px[..., :2], speaker.to_lips, everyone
    )
    warn_of_coverings(analysis.info.path, everyone, lenders.covered)
    pools, usual = {}, {}
    for shot, frames in candidates.items():
        own, moves = lenders.rows(np.searchsorted(everyone, frames)), speaker.moves(frames)
        usual[shot] = UsualFace.of(own.glances, moves, areas[shot])
        flaws = find_flaws(own, moves, usual[shot])
        pools[shot] = _Pool(frames, flaws, speaker.faces(frames), analysis.time_s[frames])
        scratch.let_go()
    pools = {shot: _enlarge(shot, pools) for shot in pools}
    above = len(analysis.track) + 1  # numbers of the bank begin here, beside no frame
    if bank is not None:
        pools = {shot: _join([pool, _deposit(bank, above)]) for shot, pool in pools.items()}

    def find(number: int) -> PlacedMouth:
        if bank is not None and number >= above:
            return bank.find(number - above)
        found = PlacedMouth.of(lenders.mouths[number], speaker.faces(np.array([number])))
        scratch.let_go()
        return found

    return Offers(usual, find, pools, analysis, speaker, keep_away_s)


def lend_mouths(offers: Offers, plan: EditPlan, wanted: Float64Array) -> Lending:
    """Choose the mouths of a whole output.

    Args:
        offers: of the video.
        plan: of the output.
        wanted: measures of the lips ``[N, 5]``.
    """
    shown = np.flatnonzero(plan.opacity > 0)
    chosen = np.full(len(plan), -1, dtype=np.int64)
    for run in np.unique(plan.run[shown]).tolist():
        rows = shown[plan.run[shown] == run]
        chosen[rows] = offers.choose(wanted[rows], plan.timeline.source_index[rows])
    faded = fade_jumps(chosen, plan.run)
    needed = np.unique(np.concatenate([faded.lender[shown], faded.former[shown]])).tolist()
    return Lending(faded, {number: offers.find(number) for number in needed}, offers.usual)


def choose_candidates(
    analysis: VideoAnalysis, speaker: Speaker, areas: Mapping[int, FloatArray]
) -> dict[int, IntArray]:
    """Return the frames of each shot that may lend, spread over poses and lips.

    Args:
        analysis: of the video.
        speaker: of it.
        areas: its keys are the shots that may lend.
    """
    track = analysis.track
    seen = np.flatnonzero(track.detected)
    shots = [seen[track.shot_id[seen] == shot] for shot in areas]
    width = np.empty(len(track))
    for part in scratch.blocks(len(track)):
        width[part] = mouth_width(speaker.landmarks_px[part, :, :2])
    takes = np.array([BYTES_PER_SQUARE * float((width[rows] ** 2).mean()) for rows in shots])
    shares = shares_of_shots(np.array([len(rows) for rows in shots], dtype=np.int64), takes)
    return {
        int(track.shot_id[rows[0]]): spread_candidates(rows, _features(speaker, rows), int(share))
        for rows, share in zip(shots, shares, strict=True)
    }


def _features(speaker: Speaker, frames: IntArray) -> Float64Array:
    """Return ``spread_of`` some frames."""
    features = scratch.zeros((len(frames), 8), np.float64)
    for part in scratch.blocks(len(frames)):
        rows = frames[part]
        features[part] = spread_of(speaker.head.angles[rows], speaker.lips[rows])
    return features


def spread_of(angles: Float64Array, lips: Float64Array) -> Float64Array:
    """Return poses ``[K, 3]`` and lips ``[K, 5]`` on the scales of their price, ``[K, 8]``."""
    return np.concatenate([_ANGLES * angles, _LIPS * lips], axis=1)


def _enlarge(shot: int, pools: dict[int, _Pool]) -> _Pool:
    """Let the other shots lend to one that has few candidates of its own."""
    own = pools[shot]
    if len(own.frames) >= _FEW or len(pools) == 1:
        return own
    return _join(
        [
            dataclasses.replace(pool, flaws=pool.flaws + (pool is not own) * _FOREIGN_SHOT)
            for pool in pools.values()
        ]
    )


def _deposit(bank: MouthBank, above: int) -> _Pool:
    """Return the candidates of a bank."""
    never = np.full(len(bank), np.inf)
    return _Pool(above + bank.numbers, bank.flaws + _BANK, bank.faces, never)


def _join(pools: list[_Pool]) -> _Pool:
    frames = np.concatenate([pool.frames for pool in pools])
    order = np.argsort(frames)
    return _Pool(
        frames[order],
        np.concatenate([pool.flaws for pool in pools])[order],
        LendingFaces.join([pool.faces for pool in pools]).rows(order),
        np.concatenate([pool.time_s for pool in pools])[order],
    )


def _felt(lips: Float64Array) -> Float64Array:
    """Lips as one sees them: between closed and nearly closed they differ more than when open."""
    felt = lips.copy()
    felt[:, OPENING] += _CLOSE * np.log1p(np.maximum(lips[:, OPENING], 0) / _NEARLY_CLOSED)
    return felt


def _price(
    pool: _Pool,
    speaker: Speaker,
    wanted: Float64Array,
    shown: IntArray,
    time_s: Float64Array,
    keep_away_s: float,
) -> Float64Array:
    """Price ``[R, K]`` of every candidate for output frames that show source frames ``[R]``."""
    faces = pool.faces
    turned = speaker.head.angles[shown][:, None] - faces.angles
    price = np.linalg.norm(turned * _ANGLES, axis=-1) + pool.flaws
    missing = _felt(wanted)[:, None] - _felt(faces.lips)
    price += np.abs(missing) @ _LIPS
    price += _NOTHING_INSIDE * np.maximum(missing[..., OPENING], 0)
    size = np.log(speaker.head.pose.scale_px[shown])
    price += _SIZE * np.abs(size[:, None] - np.log(faces.scale_px))
    if keep_away_s > 0:
        near = np.abs(time_s[shown][:, None] - pool.time_s) < keep_away_s
        price += _TOO_NEAR * near
    return price
