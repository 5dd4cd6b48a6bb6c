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
from retalking.mouth.warp.lending.faces import PlacedMouth
from retalking.mouth.warp.lending.lender_plan import LenderPlan, choose_lenders, fade_jumps
from retalking.mouth.warp.lending.lenders import (
    BYTES_PER_SQUARE,
    find_flaws,
    mouth_width,
    read_lenders,
)
from retalking.mouth.warp.lending.price import Pool, join_pools, price, spread_of
from retalking.mouth.warp.speaker import Speaker
from retalking.mouth.warp.visibility import UsualFace
from retalking.rendering.edit_plan import EditPlan
from retalking.types import Float64Array, FloatArray, IntArray, VideoAnalysis

_FOREIGN_SHOT = 0.15
_BANK = 0.02  # price of a mouth of another video: light that differs is taken from it (mouth_patch)
_FEW = 50  # candidates, below which other shots lend too
_ROWS = 128  # output frames that are priced at once


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
    _pools: Mapping[int, Pool]
    _analysis: VideoAnalysis
    _speaker: Speaker
    _keep_away_s: float

    def choose(
        self,
        wanted: Float64Array,
        index: IntArray,
        before: int | None = None,
        sounds: FloatArray | None = None,
    ) -> IntArray:
        """Choose the cheapest lenders for consecutive frames of one shot.

        Args:
            wanted: measures of the lips ``[R, 5]``.
            index: int64 ``[R]``, the source frames that are shown.
            before: lender of the frame before these; ``None`` if a run begins.
            sounds: ``[R, D]`` that are said, in the space of the bank's; ``None`` if unknown.

        Returns:
            int64 ``[R]``, numbers of mouths.
        """
        pool = self._pools[int(self._analysis.track.shot_id[index[0]])]
        time_s, away_s = self._analysis.time_s, self._keep_away_s
        costs = (
            row
            for part in np.split(np.arange(len(index)), range(_ROWS, len(index), _ROWS))
            for row in price(
                *(pool, self._speaker, wanted[part], index[part], time_s, away_s),
                None if sounds is None else sounds[part],
            )
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
    directions = 0 if bank is None else bank.sounds.shape[1]
    for shot, frames in candidates.items():
        own, moves = lenders.rows(np.searchsorted(everyone, frames)), speaker.moves(frames)
        usual[shot] = UsualFace.of(own.glances, moves, areas[shot])
        flaws = find_flaws(own, moves, usual[shot])
        unknown = np.full((len(frames), directions), np.nan, np.float32)
        faces, time_s = speaker.faces(frames), analysis.time_s[frames]
        pools[shot] = Pool(frames, flaws, faces, time_s, unknown)
        scratch.let_go()
    pools = {shot: _enlarge(shot, pools) for shot in pools}
    above = len(analysis.track) + 1  # numbers of the bank begin here, beside no frame
    if bank is not None:
        pools = {shot: join_pools([pool, _deposit(bank, above)]) for shot, pool in pools.items()}

    def find(number: int) -> PlacedMouth:
        if bank is not None and number >= above:
            return bank.find(number - above)
        found = PlacedMouth.of(lenders.mouths[number], speaker.faces(np.array([number])))
        scratch.let_go()
        return found

    return Offers(usual, find, pools, analysis, speaker, keep_away_s)


def lend_mouths(
    offers: Offers, plan: EditPlan, wanted: Float64Array, sounds: FloatArray | None = None
) -> Lending:
    """Choose the mouths of a whole output.

    Args:
        offers: of the video.
        plan: of the output.
        wanted: measures of the lips ``[N, 5]``.
        sounds: ``[N, D]`` that are said, see ``Offers.choose``.
    """
    shown = np.flatnonzero(plan.opacity > 0)
    chosen = np.full(len(plan), -1, dtype=np.int64)
    for run in np.unique(plan.run[shown]).tolist():
        rows = shown[plan.run[shown] == run]
        index, said = plan.timeline.source_index[rows], None if sounds is None else sounds[rows]
        chosen[rows] = offers.choose(wanted[rows], index, sounds=said)
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


def _enlarge(shot: int, pools: dict[int, Pool]) -> Pool:
    """Let the other shots lend to one that has few candidates of its own."""
    own = pools[shot]
    if len(own.frames) >= _FEW or len(pools) == 1:
        return own
    return join_pools(
        [
            dataclasses.replace(pool, flaws=pool.flaws + (pool is not own) * _FOREIGN_SHOT)
            for pool in pools.values()
        ]
    )


def _deposit(bank: MouthBank, above: int) -> Pool:
    """Return the candidates of a bank."""
    never = np.full(len(bank), np.inf)
    return Pool(above + bank.numbers, bank.flaws + _BANK, bank.faces, never, bank.sounds)
