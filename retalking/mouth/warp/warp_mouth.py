"""The speaker's own pixels, moved so that the lips take wanted shapes.

Everything is decided before the first frame is made: where each landmark goes, and which frame
lends its mouth. A new face then depends on its frame's number only, so that chunks make no
difference. ``N`` counts frames of the output, ``A`` those of a chunk that show a face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from retalking.arrays import scratch
from retalking.coefficients.basis import ExpressionBasis
from retalking.face.affine import transform_points
from retalking.face.crops import Pads
from retalking.media.source import Source
from retalking.mouth.warp.face_area import area_box, face_area, place_mask
from retalking.mouth.warp.inside import Parting, fill_mouth, show_teeth
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.choosing import Lending, gather_offers, lend_mouths
from retalking.mouth.warp.lip_measures import NUM_MEASURES, OPENING
from retalking.mouth.warp.lip_range import LipRange
from retalking.mouth.warp.mesh import Box, WarpMap, add_ring, between_crops, triangulate, warp_map
from retalking.mouth.warp.mouth_patch import join_mouth, patch_box, patch_outline
from retalking.mouth.warp.painting.painted_inside import InsidePainter
from retalking.mouth.warp.speaker import Speaker, study_speaker
from retalking.mouth.warp.visibility import glance_at, uncover
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.masks import JAW
from retalking.rendering.paste_back import Layer
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array, VideoAnalysis

_COVERED = 2.0  # of ``UsualFace.amount``, from which the frame keeps what lies in front
_MOST_JAWS = 2000  # of a shot, looked at for how far its face reaches


@dataclass(frozen=True)
class WarpOptions:
    """How lips move.

    Attributes:
        lip_strength: scales the movement; 1 moves them as the speaker does.
        offset: added to the measures of all lips: an expression, which may leave the range in
            which the speaker's lips move.
        pads: room around the face in the lip crop.
        keep_away_s: frames nearer in time than this lend nothing to one another, so that a clip
            driven by itself can be judged.
    """

    lip_strength: float = 1.0
    offset: tuple[float, ...] = (0.0,) * NUM_MEASURES
    pads: Pads = field(default_factory=Pads)
    keep_away_s: float = 0.0


@dataclass(frozen=True)
class Shot:
    """What all frames of a shot share.

    Attributes:
        area: float32 ``[384, 384]``, what may change, in the lip crop.
        triangles: int64 ``[T, 3]``.
    """

    area: FloatArray
    triangles: IntArray


@dataclass(frozen=True)
class _Goal:
    """Where one output frame's landmarks go.

    Attributes:
        points: float64 ``[P, 3]``, landmarks and ring in the frame.
        to_lips: float64 ``[2, 3]``, frame to lip crop.
        triangles: int64 ``[T, 3]``.
        scale: pixels of the frame per pixel of the lip crop.
        unit_px: pixels of the frame per shape unit.
        opening: of the lips, in shape units.
    """

    points: Float64Array
    to_lips: Float64Array
    triangles: IntArray
    scale: float
    unit_px: float
    opening: float


class WarpMouth:
    """Makes new faces out of the video's own pixels."""

    def __init__(
        self,
        speaker: Speaker,
        wanted: Float64Array,
        lending: Lending,
        shot_id: IntArray,
        shots: Mapping[int, Shot],
    ) -> None:
        self._speaker = speaker
        self._wanted = wanted
        self._lending = lending
        self._shot_id = shot_id
        self._shots = shots
        self._painter = InsidePainter.from_file()

    @classmethod
    def prepare(
        cls,
        source: Source,
        analysis: VideoAnalysis,
        plan: EditPlan,
        shapes: FloatArray,
        options: WarpOptions | None = None,
        basis: ExpressionBasis | None = None,
        known: LipRange | None = None,
        bank: MouthBank | None = None,
        sounds: FloatArray | None = None,
    ) -> WarpMouth:
        """Decide how every frame is made, and read the mouths that are lent.

        Args:
            source: the video.
            analysis: of it.
            plan: of the output.
            shapes: float32 ``[N, 5]``, wanted lips of every output frame in standard deviations
                of the speaker: see ``lip_measures``.
            options: see there.
            basis: what faces have in common.
            known: range of the lips in other videos of the speaker.
            bank: mouths that these lend.
            sounds: float32 ``[N, K]`` that are said, in the space of the bank's.
        """
        options, basis = options or WarpOptions(), basis or ExpressionBasis.from_file()
        if shapes.shape != (len(plan), 5):
            raise ValueError(f"shapes: got {list(shapes.shape)}, expected [{len(plan)}, 5]")
        speaker = study_speaker(analysis.track, basis, options.pads, known)
        wanted = scratch.zeros(shapes.shape, np.float64)
        for part in scratch.blocks(len(shapes)):
            placed = speaker.range.place(shapes[part], options.lip_strength)
            wanted[part] = placed + np.array(options.offset)
        shot_id = analysis.track.shot_id
        shots = {}
        index = plan.timeline.source_index
        shown = np.flatnonzero(plan.opacity > 0)
        for shot in np.unique(shot_id[index[shown]]).tolist():
            frames = np.flatnonzero(analysis.track.detected & (shot_id == shot))
            rows = shown[shot_id[index[shown]] == shot]
            shots[shot] = describe_shot(speaker, frames, wanted[rows], index[rows])
        areas = {shot: described.area for shot, described in shots.items()}
        offers = gather_offers(source, analysis, speaker, areas, options.keep_away_s, bank)
        lending = lend_mouths(offers, plan, wanted, sounds)
        return cls(speaker, wanted, lending, shot_id, shots)

    def layers(self, frames: list[UInt8Array], source: IntArray, numbers: IntArray) -> list[Layer]:
        """Make new faces.

        Args:
            frames: ``A`` pictures ``[H, W, 3]``.
            source: int64 ``[A]``, their indices in the source.
            numbers: int64 ``[A]``, their numbers in the output.

        Returns:
            One layer for each, at the resolution of the frame.
        """
        targets = self._speaker.aim(self._wanted[numbers], source)
        return [
            self._layer(frame, int(index), int(number), target)
            for frame, index, number, target in zip(frames, source, numbers, targets, strict=True)
        ]

    def _layer(self, frame: UInt8Array, index: int, number: int, target: Float64Array) -> Layer:
        goal = self._goal(index, number, target)
        shot = self._shots[int(self._shot_id[index])]
        box = area_box(shot.area, goal.to_lips)
        here, to_lips = self._speaker.landmarks_px[index], self._speaker.to_lips[index]
        face = _map(here, to_lips, (0, 0), goal, box).pull(frame)
        outline = patch_outline(target[:, :2], goal.scale)
        part = _overlap(patch_box(outline, goal.scale), box)
        if part is not None:
            x1, y1, x2, y2 = part
            below = face[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]]
            mouth = self._lend(number, goal, part)
            below[:] = join_mouth(below, mouth, outline, (x1, y1), goal.scale)
        to_box = np.array([[1.0, 0.0, -box[0]], [0.0, 1.0, -box[1]]])
        area = self._uncover(frame, index, shot.area)
        return Layer(face, place_mask(area, goal.to_lips, box), to_box)

    def _uncover(self, frame: UInt8Array, index: int, area: FloatArray) -> FloatArray:
        """Leave what lies in front of the face where it is."""
        usual = self._lending.usual[int(self._shot_id[index])]
        if usual is None:
            return area
        glance = glance_at(frame, self._speaker.to_lips[index])
        moves = self._speaker.moves(np.array([index]))[0]
        strange = usual.find_strange(glance, moves)
        return uncover(area, strange) if usual.amount(strange) > _COVERED else area

    def _goal(self, index: int, number: int, target: Float64Array) -> _Goal:
        to_lips = self._speaker.to_lips[index]
        return _Goal(
            add_ring(target, to_lips),
            to_lips,
            self._shots[int(self._shot_id[index])].triangles,
            scale=1 / float(np.sqrt(abs(np.linalg.det(to_lips[:, :2])))),
            unit_px=float(self._speaker.head.pose.scale_px[index]),
            opening=float(self._wanted[number, OPENING]),
        )

    def _lend(self, number: int, goal: _Goal, box: Box) -> FloatArray:
        """Mouth of an output frame in a box of it, cross-faded after a jump."""
        plan = self._lending.plan
        mouth = self._lend_from(int(plan.lender[number]), goal, box)
        left = plan.former_share[number]
        if left > 0:
            former = self._lend_from(int(plan.former[number]), goal, box)
            mouth += left * (former - mouth)
        return mouth

    def _lend_from(self, lender: int, goal: _Goal, box: Box) -> FloatArray:
        lent = self._lending.mouths[lender]
        found = _map(lent.landmarks_px, lent.to_lips, lent.origin, goal, box)
        lips = lent.landmarks_px[:, :2].astype(np.float64) - lent.origin
        size = lent.scale_px / goal.unit_px
        parting = Parting(lent.opening, goal.opening)
        show_teeth(found, lips, goal.points, parting, box, goal.scale, size)
        mouth = found.pull(lent.rgb).astype(np.float32)
        fill_mouth(mouth, goal.points, parting, box, goal.scale, goal.unit_px, self._painter)
        return mouth


def _map(
    landmarks_px: FloatArray,
    to_lips: Float64Array,
    origin: tuple[int, int],
    goal: _Goal,
    box: Box,
) -> WarpMap:
    """Map a box of the goal to the part of another frame that begins at ``origin``.

    Args:
        landmarks_px: ``[68, 3]`` of that frame.
        to_lips: ``[2, 3]``, from it to its lip crop.
        origin: of the part.
        goal: where landmarks go.
        box: of the goal's frame.
    """
    here = add_ring(landmarks_px.astype(np.float64), to_lips)
    here[:, :2] -= origin
    rigid = between_crops(goal.to_lips, to_lips)
    rigid[:, 2] -= origin
    return warp_map(goal.triangles, here, goal.points, rigid, box, goal.scale)


def describe_shot(
    speaker: Speaker, frames: IntArray, wanted: Float64Array, shown: IntArray
) -> Shot:
    """Find what may change in a shot, and triangulate its face.

    Args:
        speaker: see there.
        frames: int64 ``[F]`` of the shot that show the face.
        wanted: lips ``[N, 5]`` of its output frames.
        shown: int64 ``[N]``, the frames that these show.
    """
    some = frames[:: -(-len(frames) // _MOST_JAWS)]
    made = np.arange(0, len(shown), -(-len(shown) // _MOST_JAWS))
    jaws = []
    for part in scratch.blocks(len(some), scratch.SCATTERED):
        rows = some[part]
        was = speaker.landmarks_px[rows][:, JAW, :2]
        jaws.append(transform_points(speaker.to_lips[rows], was))
    for part in scratch.blocks(len(made), scratch.SCATTERED):
        rows = shown[made[part]]
        goals = speaker.aim(wanted[made[part]], rows)[:, JAW, :2]
        jaws.append(transform_points(speaker.to_lips[rows], goals))
    area = face_area(np.concatenate(jaws))
    # Lips are triangulated open, so that no triangle holds points of both.
    angles = speaker.head.angles[frames]
    usual = frames[[int(np.abs(angles - np.median(angles, axis=0)).sum(axis=1).argmin())]]
    points = add_ring(speaker.aim(speaker.range.high[None], usual)[0], speaker.to_lips[usual[0]])
    return Shot(area, triangulate(transform_points(speaker.to_lips[usual[0]], points[:, :2])))


def _overlap(a: Box, b: Box) -> Box | None:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
