"""Restored mouths and parsed masks on top of any way of making the mouth (paper, section 3.4)."""

from __future__ import annotations

import dataclasses
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from retalking.face.affine import (
    compose_affine,
    fit_similarity,
    invert_affine,
    transform_points,
)
from retalking.face.crops import cut, warp
from retalking.face.landmarks import LiteLandmarker
from retalking.ibug68 import five_points_by_corners, lip_opening
from retalking.networks.calls import (
    RESTORED_PX,
    FaceRestorer,
    parse_pixels,
    restore_pixels,
    template_of,
    where_it_fits,
)
from retalking.networks.load import Parts
from retalking.networks.options import MouthNetworksSection
from retalking.networks.run import Run
from retalking.rendering.masks import (
    FACE_PARTS,
    MOUTH_PARTS,
    fade_out,
    felt_px,
    mouth_mask,
    part_mask,
)
from retalking.rendering.mouth import BegunType, ChunkFaces, Mouth, NewFaces
from retalking.rendering.paste_back import Layer, paste
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import BoolArray, Float64Array, FloatArray, UInt8Array
from third_party.parsenet import ParseNet
from third_party.windows import Window

_TEETH_SHOW = (0.04, 0.1)  # ``lip_opening`` at which the restored mouth begins to show, and does


RESTORED = Window(288, 144, 480, 368, RESTORED_PX, 4)
"""What of an aligned face is restored: the mouth, as far as its mask is felt, in 345 frames of 115
clips."""
FADE = torch.from_numpy(
    fade_out(RESTORED.bottom - RESTORED.top, RESTORED.right - RESTORED.left)[..., None]
)
"""Its weight in there: float32 ``[h, w, 1]``."""
PARSED = Window(272, 40, 512, 480, RESTORED_PX, 3)
"""What of an aligned face is parsed: the lower half of the lip crop, and as far as it is felt."""


class RestoredMouth(Generic[BegunType]):
    """A ``Mouth`` that lays restored lips over another's, and lets a parser say what is face."""

    def __init__(
        self,
        mouth: Mouth[BegunType],
        parts: Parts,
        scene: Scene,
        options: MouthNetworksSection,
        timings: Timings,
    ) -> None:
        """Wrap a way of making the mouth.

        Args:
            mouth: makes the faces.
            parts: with a restorer, a parser, or both.
            scene: the video.
            options: how strongly, and in which frames, mouths are restored.
            timings: told how long each network took.
        """
        self.drift_shape = mouth.drift_shape
        self.begin = mouth.begin
        self._mouth = mouth
        self._parts = parts
        self._scene = scene
        self._options = options
        only_open = parts.restorer is not None and options.restorer_frames == "teeth"
        self._landmarker = LiteLandmarker.from_file() if only_open else None
        self._timings = timings

    def finish(self, faces: ChunkFaces, begun: BegunType, drift_px: Float64Array) -> NewFaces:
        """Restore what the other way has made."""
        new = self._mouth.finish(faces, begun, drift_px)
        parts, run = self._parts, self._parts.runner.for_frames(faces.numbers)
        landmarks = self._scene.landmarks_px(faces.source)
        corners: Float64Array = five_points_by_corners(landmarks)
        to_aligned = fit_similarity(corners, template_of(parts.restorer))
        pictures = np.stack(
            [
                cut(_paste_all(frame, new, place), to_aligned[place], RESTORED_PX)
                for place, frame in enumerate(faces.frames)
            ]
        )
        points = transform_points(to_aligned, landmarks)
        shares = np.float32(self._options.restorer_strength) * self._shares(run, pictures, points)
        masks: list[FloatArray] = []
        if parts.restorer is not None:
            rows = np.flatnonzero(shares)
            with self._timings.measure("restorer", len(faces)):
                if len(rows):
                    opened = torch.from_numpy(pictures[rows])
                    pictures[rows] = restore_mouths(run.only(rows), parts.restorer, opened, FADE)
            masks = [mouth_mask(face, RESTORED_PX) for face in points]
        if parts.parser is not None:
            with self._timings.measure("parser", len(faces)):
                labels = self._parse(run, parts.parser, pictures, new, to_aligned)
            masks = [part_mask(parsed, MOUTH_PARTS) for parsed in labels]
            new = _mask_by_parts(new, labels, to_aligned)
        if parts.restorer is None:
            return new
        overlays = [
            (*beneath, Layer(picture, share * mask, matrix)) if share else beneath
            for beneath, picture, share, mask, matrix in zip(
                new.overlays, pictures, shares, masks, to_aligned, strict=True
            )
        ]
        return dataclasses.replace(new, overlays=overlays)

    def _parse(
        self,
        run: Run,
        parser: ParseNet,
        pictures: UInt8Array,
        new: NewFaces,
        to_aligned: Float64Array,
    ) -> UInt8Array:
        """Label aligned pictures where their masks are made of it: uint8 ``[A, 512, 512]``."""
        fits = [
            bool(PARSED.holds(_reach(new, place, matrix)))
            for place, matrix in enumerate(to_aligned)
        ]
        seen = torch.from_numpy(pictures)
        return parse_parts(run, parser, seen, np.array(fits), self._options.parser_px).numpy()

    def _shares(self, run: Run, pictures: UInt8Array, points: Float64Array) -> FloatArray:
        """How much of each restored mouth shows ``[A]``: all, or as far as the lips are apart."""
        landmarker = self._landmarker
        if landmarker is None:
            return np.ones(len(pictures), np.float32)
        found = run.over(
            lambda *faces: landmarker.follow(*faces)[0], pictures, points.astype(np.float32)
        )
        return share_of_mouth(found)


def share_of_mouth(landmarks: FloatArray) -> FloatArray:
    """How much of a restored mouth shows ``[A]`` where teeth are meant, by its landmarks."""
    closed, opened = _TEETH_SHOW
    return np.clip((lip_opening(landmarks) - closed) / (opened - closed), 0, 1)


def restore_mouths(run: Run, restorer: FaceRestorer, pictures: Tensor, fade: Tensor) -> Tensor:
    """Restore what is around the mouths of aligned faces uint8 ``[A, 512, 512, 3]``.

    It fades out as ``FADE`` says, which is to be where the pictures are.
    """
    restored = restore_pixels(run, restorer, pictures, RESTORED)
    part = np.s_[:, RESTORED.top : RESTORED.bottom, RESTORED.left : RESTORED.right]
    before = pictures[part].float()
    restored[part] = (before + fade * (restored[part] - before)).round().to(torch.uint8)
    return restored


def parse_parts(
    run: Run, parser: ParseNet, pictures: Tensor, fits: BoolArray, side_px: int
) -> Tensor:
    """Label aligned faces ``[A, 512, 512, 3]``, no more than ``PARSED`` of those that fit."""
    return where_it_fits(
        run,
        fits,
        PARSED,
        lambda some, rows, part: parse_pixels(some, parser, pictures[rows], side_px, part),
    )


def feel(points: Float64Array) -> Float64Array:
    """Corners ``[..., 2N, 2]`` of what masks of aligned faces depend on around ``[..., N, 2]``."""
    felt = felt_px(RESTORED_PX)
    return np.concatenate([points - felt, points + felt], axis=-2)


def _reach(new: NewFaces, place: int, to_aligned: Float64Array) -> Float64Array:
    """Corners ``[N, 2]`` of what a frame's masks may depend on in its aligned face."""
    corners = [
        transform_points(
            compose_affine(to_aligned, invert_affine(layer.to_crop)),
            corners_of(layer.mask if limit is None else limit),
        )
        for layer, limit in (
            (new.layers[place], new.limit),
            *((layer, None) for layer in new.further[place]),
        )
    ]
    return np.concatenate([feel(points) for points in corners])


def corners_of(mask: FloatArray) -> Float64Array:
    """Corners ``[4, 2]`` of the part of a crop that a mask may show; none if it shows nothing."""
    shown = mask > 0
    down, across = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    if not len(down):
        return np.zeros((0, 2))
    sides = ((across[0], across[-1]), (down[0], down[-1]))
    return np.array([(x, y) for x in sides[0] for y in sides[1]], np.float64)


def _paste_all(frame: UInt8Array, new: NewFaces, place: int) -> UInt8Array:
    for layer in (new.layers[place], *new.overlays[place], *new.further[place]):
        frame = paste(frame, layer)
    return frame


def _mask_by_parts(new: NewFaces, labels: UInt8Array, to_aligned: Float64Array) -> NewFaces:
    """Let layers show where the parser saw a face, labels ``[A, 512, 512]``, within their limit."""
    seen = [part_mask(parsed, FACE_PARTS) for parsed in labels]
    from_aligned = invert_affine(to_aligned)

    def mask(layer: Layer, place: int, limit: FloatArray | None) -> Layer:
        matrix = compose_affine(layer.to_crop, from_aligned[place])
        height, width = layer.mask.shape
        shown = warp(seen[place], matrix, (width, height))
        return dataclasses.replace(layer, mask=shown * (layer.mask if limit is None else limit))

    layers = [mask(layer, place, new.limit) for place, layer in enumerate(new.layers)]
    further = [
        tuple(mask(layer, place, None) for layer in several)
        for place, several in enumerate(new.further)
    ]
    return dataclasses.replace(new, layers=layers, further=further)
