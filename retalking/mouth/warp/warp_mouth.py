"""The speaker's own pixels, moved so that the lips take wanted shapes.

Everything is decided before the first frame is made: where each landmark goes, and which frame
lends its mouth. A frame's new face then depends on its number only. ``F`` counts frames of the
source, ``N`` those of the output, ``A`` those of a chunk that show a face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retalking.face.affine import transform_points
from retalking.rendering.paste_back import Layer
from retalking.rendering.edit_plan import EditPlan
from retalking.face.crops import LIP_PX, Pads, lip_crops, smooth_anchors
from retalking.coefficients.basis import ExpressionBasis
from retalking.mouth.warp.face_area import area_box, face_area, place_mask
from retalking.mouth.warp.face_model import FaceModel, common_modes, fit_face
from retalking.mouth.warp.head import Head, follow_head
from retalking.mouth.warp.lender_plan import LenderPlan, choose_lenders, fade_jumps
from retalking.mouth.warp.lenders import LentMouth, read_mouths
from retalking.mouth.warp.lip_measures import measure_lips
from retalking.mouth.warp.lip_range import measure_range
from retalking.mouth.warp.mesh import Box, add_ring, between_crops, triangulate, warp_map
from retalking.mouth.warp.mouth_patch import join_mouth, patch_box, patch_outline
from retalking.media.source import Source
from retalking.types import (
    Float64Array,
    FloatArray,
    IntArray,
    UInt8Array,
    VideoAnalysis,
)

_FROM_FRAME = slice(17, 48)  # brows, nose, eyes: left where they are
_WEIGHTS = np.array([1.5, 0.7, 0.5, 0.5, 0.5])


@dataclass(frozen=True)
class WarpOptions:
    """How lips move.

    Attributes:
        lip_strength: scales the movement, 1 as in speech.
        pads: room around the face in the lip crop.
        keep_away_s: frames nearer to the one to be made lend it nothing; for judging a clip that
            is driven by itself.
    """

    lip_strength: float = 1.0
    pads: Pads = Pads()
    keep_away_s: float = 0.0


class WarpMouth:
    def __init__(self, head, model, to_lips, wanted, plan_, mouths, masks, shot_id, triangles):
        self._head, self._model, self._to_lips = head, model, to_lips
        self._wanted, self._plan, self._mouths = wanted, plan_, mouths
        self._masks, self._shot_id, self._triangles = masks, shot_id, triangles

    @classmethod
    def prepare(cls, source: Source, analysis: VideoAnalysis, plan: EditPlan, shapes: FloatArray,
                options: WarpOptions) -> "WarpMouth":
        track = analysis.track
        basis = ExpressionBasis.from_file()
        head = follow_head(track, basis)
        seen = np.flatnonzero(track.detected)
        own_shapes = head.shapes(seen)
        model = fit_face(own_shapes, head.angles[seen], basis)
        lips = np.zeros((len(track), 5))
        lips[seen] = measure_lips(own_shapes)
        _, typical = common_modes(model.mean_shape, basis)
        reach = measure_range(lips[seen], typical)
        wanted = reach.place(shapes, options.lip_strength)
        to_lips = lip_crops(smooth_anchors(track), options.pads)
        index = plan.timeline.source_index
        active = np.flatnonzero(plan.opacity > 0)
        lender = np.full(len(plan), -1, dtype=np.int64)
        targets = aim(head, model, wanted[active], index[active])
        masks, triangles = {}, {}
        for shot in np.unique(track.shot_id[seen]).tolist():
            frames = seen[track.shot_id[seen] == shot]
            out = active[track.shot_id[index[active]] == shot]
            if not len(out):
                continue
            cost = 0.5 * np.linalg.norm(head.angles[frames][None] - head.angles[index[out]][:, None], axis=-1)
            gap = lips[frames][None] - wanted[out][:, None]
            cost += (np.abs(gap) * _WEIGHTS).sum(axis=-1)
            if options.keep_away_s:
                near = np.abs(analysis.time_s[frames][None] - analysis.time_s[index[out]][:, None])
                cost += 9.0 * (near < options.keep_away_s)
            for run in np.unique(plan.run[out]):
                rows = plan.run[out] == run
                lender[out[rows]] = frames[choose_lenders(cost[rows], frames)]
            there = transform_points(to_lips[index[out]], targets[np.isin(active, out)][..., :2])
            here = transform_points(to_lips[frames], head.points_px[frames][..., :2])
            masks[shot] = face_area(np.concatenate([here, there])[:, :17])
            middle = model.shapes(reach.high[None], np.median(head.angles[frames], axis=0)[None])
            k = frames[np.argmin(np.abs(head.angles[frames] - np.median(head.angles[frames], axis=0)).sum(1))]
            mid = head.place(middle, np.array([k]))[0]
            mid[17:48] = head.points_px[k, 17:48]
            ring = add_ring(mid, to_lips[k])
            triangles[shot] = triangulate(transform_points(to_lips[k], ring[:, :2]))
        plan_ = fade_jumps(lender, plan.run)
        needed = np.unique(np.concatenate([plan_.lender[active], plan_.former[active]]))
        mouths = read_mouths(source, analysis.pts, head.points_px, needed)
        return cls(head, model, to_lips, wanted, plan_, mouths, masks, track.shot_id, triangles)

    def layers(self, frames: list[UInt8Array], source: IntArray, numbers: IntArray) -> list[Layer]:
        targets = aim(self._head, self._model, self._wanted[numbers], source)
        return [self._layer(*row) for row in zip(frames, source.tolist(), numbers.tolist(), targets)]

    def _layer(self, frame, source, number, target) -> Layer:
        to_lips, shot = self._to_lips[source], self._shot_id[source]
        mask, triangles = self._masks[shot], self._triangles[shot]
        scale = 1 / float(np.sqrt(abs(np.linalg.det(to_lips[:, :2]))))
        box = area_box(mask, to_lips)
        goal = add_ring(target, to_lips)
        here = add_ring(self._head.points_px[source], to_lips)
        still = np.eye(2, 3)
        base = warp_map(triangles, here, goal, still, box, scale).pull(frame)
        outline = patch_outline(target[:, :2], scale)
        x1, y1, x2, y2 = patch_box(outline, scale)
        x1, y1, x2, y2 = max(x1, box[0]), max(y1, box[1]), min(x2, box[2]), min(y2, box[3])
        if x2 > x1 and y2 > y1:
            part = (x1, y1, x2, y2)
            mouth = self._lend(int(self._plan.lender[number]), triangles, goal, to_lips, part, scale)
            left = self._plan.former_share[number]
            if left > 0:
                other = self._lend(int(self._plan.former[number]), triangles, goal, to_lips, part, scale)
                mouth += left * (other - mouth)
            join_mouth(base[y1 - box[1]:y2 - box[1], x1 - box[0]:x2 - box[0]], mouth, outline, (x1, y1), scale)
        rgb = np.rint(base.clip(0, 255)).astype(np.uint8)
        shift = np.array([[1.0, 0, -box[0]], [0, 1.0, -box[1]]])
        return Layer(rgb, place_mask(mask, to_lips, box), shift)

    def _lend(self, lender, triangles, goal, to_lips, box, scale) -> FloatArray:
        lent = self._mouths[lender]
        theirs = self._to_lips[lender]
        here = add_ring(self._head.points_px[lender], theirs)
        rigid = between_crops(to_lips, theirs)
        shift = np.array([*lent.origin, 0.0])
        rigid = rigid.copy(); rigid[:, 2] -= lent.origin
        return warp_map(triangles, here - shift, goal, rigid, box, scale).pull(lent.rgb)


def aim(head: Head, model: FaceModel, wanted: Float64Array, source: IntArray) -> Float64Array:
    """Landmarks ``[A, 68, 3]`` of frames whose lips shall measure ``wanted``."""
    target = head.place(model.shapes(wanted, head.angles[source]), source)
    target[:, _FROM_FRAME] = head.points_px[source][:, _FROM_FRAME]
    return target
