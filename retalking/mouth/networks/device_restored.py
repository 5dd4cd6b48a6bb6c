"""``RestoredMouth`` on the device: restored mouths and parsed masks of faces that are there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retalking.arrays import scratch
from retalking.face.affine import compose_affine, fit_similarity, invert_affine, transform_points
from retalking.face.crops import LIP_PX
from retalking.face.landmarks import LiteLandmarker
from retalking.ibug68 import five_points_by_corners
from retalking.mouth.networks.device_landmarks import follow
from retalking.mouth.restored import (
    FADE,
    PARSED,
    corners_of,
    feel,
    parse_parts,
    restore_mouths,
    share_of_mouth,
)
from retalking.networks.calls import RESTORED_PX, template_of
from retalking.networks.load import Parts
from retalking.networks.options import MouthNetworksSection
from retalking.networks.run import Run
from retalking.rendering.masks import FACE_PARTS, MOUTH_PARTS, edited_band, fill_mouth
from retalking.rendering.on_device.masks import areas_of, rows_of, soften
from retalking.rendering.on_device.paste_back import Placed, lay
from retalking.rendering.on_device.pictures import cut, to_bytes, to_planes
from retalking.rendering.on_device.warping import resample
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray
from third_party.parsenet import FacePart


class DeviceRestorer:
    """Restores and parses the faces of a scene."""

    def __init__(
        self, parts: Parts, scene: Scene, options: MouthNetworksSection, whole_face: bool
    ) -> None:
        """Prepare for a scene.

        Args:
            parts: with a restorer, a parser, or both.
            scene: the video.
            options: how strongly, and in which frames, mouths are restored.
            whole_face: whether the upper half of the lip crop may be replaced as well.
        """
        self._parts, self._options, runner = parts, options, parts.runner
        track = scene.analysis.track
        seen = np.flatnonzero(track.detected)
        self.to_aligned = scratch.zeros((len(track), 2, 3), np.float64)
        for rows in scratch.blocks(len(seen)):
            points: Float64Array = five_points_by_corners(scene.landmarks_px(seen[rows]))
            self.to_aligned[seen[rows]] = fit_similarity(points, template_of(parts.restorer))
        only_open = parts.restorer is not None and options.restorer_frames == "teeth"
        self._landmarker = LiteLandmarker.from_file(device=runner.device) if only_open else None
        self._limit_corners = corners_of(edited_band(whole_face))
        self._limit, self._is_face, self._is_mouth = (
            runner.send(torch.from_numpy(numbers))
            for numbers in (edited_band(whole_face), _table(FACE_PARTS), _table(MOUTH_PARTS))
        )
        self._fade = runner.send(FADE)

    def finish(
        self,
        run: Run,
        regions: Tensor,
        laid: Placed,
        landmarks_px: Float64Array,
        to_aligned: Float64Array,
        to_crops: Float64Array,
        timings: Timings,
    ) -> tuple[Placed, Placed | None]:
        """Restore and parse.

        Args:
            run: runs networks on what stays on the device.
            regions: float32 ``[A, 3, h, w]``, parts of the frames.
            laid: the new faces in these.
            landmarks_px: float64 ``[A, 68, 2]`` of the source in the parts.
            to_aligned: float64 ``[A, 2, 3]``, parts to aligned faces.
            to_crops: float64 ``[A, 2, 3]``, parts to lip crops.
            timings: told how long each network took.

        Returns:
            The new faces with the masks that the parser saw, and mouths to lay over them.
        """
        parts, runner = self._parts, self._parts.runner
        aligned = cut(laid.over(regions).round(), to_aligned, RESTORED_PX)
        points = transform_points(to_aligned, landmarks_px)
        shares = np.float32(self._options.restorer_strength) * self._shares(run, aligned, points)
        pictures, mouth_masks = to_bytes(aligned), None
        if parts.restorer is not None:
            with timings.measure("restorer", len(shares)):
                rows = np.flatnonzero(shares)
                if len(rows) == len(shares):
                    pictures = restore_mouths(run, parts.restorer, pictures, self._fade)
                elif len(rows):
                    opened = pictures[rows]
                    made = restore_mouths(run.only(rows), parts.restorer, opened, self._fade)
                    pictures[rows] = made
        if parts.parser is not None:
            with timings.measure("parser", len(shares)):
                to_faces = compose_affine(to_crops, invert_affine(to_aligned))
                corners = transform_points(invert_affine(to_faces), self._limit_corners)
                fits, px = PARSED.holds(feel(corners)), self._options.parser_px
                labels = parse_parts(run, parts.parser, pictures, fits, px)[:, None].long()
            seen = soften(self._is_face[labels])
            masks = resample(seen, to_faces, (LIP_PX, LIP_PX)) * self._limit
            laid = laid.with_masks(masks, to_crops)
            mouth_masks = soften(self._is_mouth[labels]) if parts.restorer is not None else None
        elif parts.restorer is not None:
            outlines = rows_of([fill_mouth(face, RESTORED_PX) for face in points])
            mouth_masks = soften(areas_of(runner.send(torch.from_numpy(outlines))))
        if mouth_masks is None:
            return laid, None
        shown = mouth_masks * runner.send(torch.from_numpy(shares))[:, None, None, None]
        return laid, lay(to_planes(pictures), shown, to_aligned, regions)

    def _shares(self, run: Run, aligned: Tensor, points: Float64Array) -> FloatArray:
        """How much of each restored mouth shows ``[A]``; see ``RestoredMouth``."""
        if self._landmarker is None:
            return np.ones(len(points), np.float32)
        starts = points.astype(np.float32)
        found = follow(self._parts.runner, run, self._landmarker, aligned, starts)
        return share_of_mouth(found)


def _table(parts: tuple[FacePart, ...]) -> FloatArray:
    """Of every label of a face, whether it is one of some parts: float32 ``[19]``."""
    return np.isin(np.arange(len(FacePart)), parts).astype(np.float32)
