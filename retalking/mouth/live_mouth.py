"""The speaker's own pixels for speech that is still being spoken.

What is decided over a whole output elsewhere is decided here from what is known: where the face may
change, from all that the speaker's lips can do; which frame lends its mouth, from the lips that
have been heard so far.
"""

from __future__ import annotations

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.media.source import Source
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.choosing import Lending, gather_offers
from retalking.mouth.warp.lending.faces import PlacedMouth
from retalking.mouth.warp.lending.lender_plan import FADE, LenderPlan, fade_jumps
from retalking.mouth.warp.lip_range import LipRange
from retalking.mouth.warp.speaker import study_speaker
from retalking.mouth.warp.warp_mouth import WarpMouth, WarpOptions, describe_shot
from retalking.rendering.paste_back import Layer
from retalking.types import FloatArray, IntArray, UInt8Array, VideoAnalysis


class LiveMouth:
    """Makes new faces for frames in their order, a few at a time."""

    def __init__(
        self,
        source: Source,
        analysis: VideoAnalysis,
        options: WarpOptions,
        basis: ExpressionBasis,
        known: LipRange | None = None,
        bank: MouthBank | None = None,
    ) -> None:
        """Read everything that may be lent; see ``WarpMouth.prepare``."""
        self._speaker = study_speaker(analysis.track, basis, options.pads, known)
        self._options = options
        self._shot_id = analysis.track.shot_id
        reach = np.stack([self._speaker.range.low, self._speaker.range.high])
        reach += np.array(options.offset)
        self._shots = {}
        seen = np.flatnonzero(analysis.track.detected)
        for shot in np.unique(self._shot_id[seen]).tolist():
            frames = seen[self._shot_id[seen] == shot]
            extremes = np.repeat(reach, len(frames), axis=0)
            self._shots[shot] = describe_shot(self._speaker, frames, extremes, np.tile(frames, 2))
        areas = {shot: described.area for shot, described in self._shots.items()}
        self._offers = gather_offers(
            source, analysis, self._speaker, areas, options.keep_away_s, bank
        )
        self._mouths: dict[int, PlacedMouth] = {}
        self._lenders: list[int] = []  # of the last frames, as many as a jump fades through
        self._runs: list[int] = []

    def layers(
        self, frames: list[UInt8Array], source: IntArray, run: IntArray, shapes: FloatArray
    ) -> list[Layer]:
        """Make the new faces of the frames that come next.

        Args:
            frames: ``A`` pictures ``[H, W, 3]``; none without a face.
            source: int64 ``[A]``, their indices in the source.
            run: int64 ``[A]``; frames of one run follow each other.
            shapes: float32 ``[A, 5]``, wanted lips in standard deviations of the speaker.

        Returns:
            One layer for each, at the resolution of the frame.
        """
        options = self._options
        wanted = self._speaker.range.place(shapes, options.lip_strength) + np.array(options.offset)
        chosen = np.empty(len(run), np.int64)
        for rows in np.split(np.arange(len(run)), np.flatnonzero(np.diff(run)) + 1):
            continues = bool(self._runs) and self._runs[-1] == run[rows[0]]
            before = self._lenders[-1] if continues and rows[0] == 0 else None
            chosen[rows] = self._offers.choose(wanted[rows], source[rows], before)
        plan = self._fade(chosen, run)
        for number in {*plan.lender.tolist(), *plan.former.tolist()} - set(self._mouths):
            self._mouths[number] = self._offers.find(number)
        lending = Lending(plan, self._mouths, self._offers.usual)
        made = WarpMouth(self._speaker, wanted, lending, self._shot_id, self._shots)
        return made.layers(frames, source, np.arange(len(run)))

    def _fade(self, chosen: IntArray, run: IntArray) -> LenderPlan:
        """Let mouths fade out after jumps, those just before these frames too."""
        earlier = len(self._lenders)
        lenders = np.array([*self._lenders, *chosen.tolist()], np.int64)
        runs = np.array([*self._runs, *run.tolist()], np.int64)
        plan = fade_jumps(lenders, runs)
        self._lenders, self._runs = lenders[-len(FADE) :].tolist(), runs[-len(FADE) :].tolist()
        return LenderPlan(plan.lender[earlier:], plan.former[earlier:], plan.former_share[earlier:])
