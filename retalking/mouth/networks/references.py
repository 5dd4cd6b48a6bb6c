"""References for L-Net: the same face with a frozen expression, sharp, and in place.

``A`` counts the frames of a chunk that show a face. Two spaces occur: the *stabiliser crop* that
D-Net edits (256 px) and the *lip crop* that L-Net and E-Net read (384 px).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retalking.face.affine import (
    compose_affine,
    fit_similarity,
    invert_affine,
    transform_points,
)
from retalking.face.crops import LIP_PX, Pads, cut, lip_anchors, lip_crops, warp
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import five_points_by_corners
from retalking.networks.calls import (
    RESTORED_PX,
    FaceRestorer,
    restore_pixels,
    template_of,
    where_it_fits,
)
from retalking.networks.run import Run
from retalking.rendering.masks import inner_square
from retalking.types import BoolArray, Float64Array, UInt8Array
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.windows import Window

_MAX_DRIFT = (
    0.25  # eye distances; D-Net moves eyes and nose by less, so the landmarks must be wrong
)


LOOKED_AT = {
    GPEN: Window(112, 80, 512, 432, RESTORED_PX, 4),
    GFPGAN: Window(96, 64, 512, 448, RESTORED_PX, 4),
}
"""Where the lip crop lies in a restored face: in all of 345 frames of 115 clips."""
_ROOM_PX = 6  # by which smoothing may still move the lip crop


@dataclass(frozen=True)
class References:
    """Stabilised faces of a chunk.

    Attributes:
        rgb: uint8 ``[A, 256, 256, 3]``, D-Net's result, or twice that size.
        anchors_px: float64 ``[A, 3, 2]``, eyes and nose of the source in the pixels of ``rgb``.
        drift_px: float64 ``[A, 3, 2]``, how far D-Net moved them, frame by frame.
        restored: uint8 ``[A, 512, 512, 3]`` aligned to the restorer's template, and float64
            ``[A, 2, 3]`` that takes ``rgb`` there; ``None`` without a restorer.
    """

    rgb: UInt8Array
    anchors_px: Float64Array
    drift_px: Float64Array
    restored: tuple[UInt8Array, Float64Array] | None = None


def locate_references(
    run: Run,
    landmarker: Landmarker,
    rgb: UInt8Array,
    source_landmarks_px: Float64Array,
    source_anchors_px: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Find the landmarks of stabilised faces, and how far their anchors are from the source's.

    Args:
        run: runs the landmarker.
        landmarker: finds landmarks.
        rgb: uint8 ``[A, 256, 256, 3]``.
        source_landmarks_px: ``[A, 68, 2]`` of the source in the stabiliser crop.
        source_anchors_px: ``[A, 3, 2]`` of the source in the stabiliser crop, smoothed.

    Returns:
        Landmarks float64 ``[A, 68, 2]`` and drift float64 ``[A, 3, 2]``. Where the drift is beyond
        belief, the source's landmarks and no drift.
    """
    starts = source_landmarks_px.astype(np.float32)
    followed = run.over(lambda *faces: landmarker.follow(*faces)[0][..., :2], rgb, starts)
    return believe_drift(followed.astype(np.float64), source_landmarks_px, source_anchors_px)


def believe_drift(
    found: Float64Array, source_landmarks_px: Float64Array, source_anchors_px: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Say what is believed of landmarks ``[A, 68, 2]`` found; see ``locate_references``."""
    drift = lip_anchors(found) - source_anchors_px
    eyes = source_anchors_px[:, 1] - source_anchors_px[:, 0]
    limit = _MAX_DRIFT * np.linalg.norm(eyes, axis=-1)
    mistaken = ~(np.linalg.norm(drift, axis=-1).max(axis=-1) <= limit)  # NaN is one, too
    found[mistaken], drift[mistaken] = source_landmarks_px[mistaken], 0
    return found, drift


def restore_references(
    run: Run,
    restorer: FaceRestorer,
    rgb: UInt8Array,
    landmarks_px: Float64Array,
    to_lips: Float64Array,
) -> tuple[UInt8Array, Float64Array]:
    """Sharpen stabilised faces (paper 3.3: the training references of E-Net are GPEN's).

    Args:
        run: runs the restorer.
        restorer: GPEN or GFPGAN.
        rgb: uint8 ``[A, 256, 256, 3]``.
        landmarks_px: ``[A, 68, 2]`` in the stabiliser crop.
        to_lips: float64 ``[A, 2, 3]``, stabiliser crop to lip crop, before its drift is smoothed.
            What lies beyond it is not restored.

    Returns:
        uint8 ``[A, 512, 512, 3]`` and float64 ``[A, 2, 3]``, stabiliser crop to restored face.
    """
    to_restored, fits = align_references(restorer, landmarks_px, to_lips)
    aligned = [cut(face, m, RESTORED_PX) for face, m in zip(rgb, to_restored, strict=True)]
    restored = sharpen(run, restorer, torch.from_numpy(np.stack(aligned)), fits).numpy()
    return restored, to_restored


def align_references(
    restorer: FaceRestorer, landmarks_px: Float64Array, to_lips: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """How stabilised faces come to the restorer; the arguments are those of ``restore_references``.

    Returns:
        float64 ``[A, 2, 3]``, and bool ``[A]``: whether the restorer's window holds what is seen.
    """
    points = five_points_by_corners(landmarks_px)
    to_restored = fit_similarity(points, template_of(restorer))
    corners = np.array([(x, y) for x in (0, LIP_PX) for y in (0, LIP_PX)], np.float64)
    reach = transform_points(compose_affine(to_restored, invert_affine(to_lips)), corners)
    room = np.concatenate([reach - _ROOM_PX, reach + _ROOM_PX], axis=1)
    return to_restored, _window_of(restorer).holds(room)


def sharpen(run: Run, restorer: FaceRestorer, aligned: Tensor, fits: BoolArray) -> Tensor:
    """Restore aligned faces uint8 ``[A, 512, 512, 3]``, in the window alone where it ``fits``."""
    return where_it_fits(
        run,
        fits,
        _window_of(restorer),
        lambda some, rows, part: restore_pixels(some, restorer, aligned[rows], part),
    )


def _window_of(restorer: FaceRestorer) -> Window:
    return LOOKED_AT[GPEN if isinstance(restorer, GPEN) else GFPGAN]


def cut_references(
    references: References, drift_px: Float64Array, pads: Pads, strength: float
) -> UInt8Array:
    """Cut references so that their eyes and nose are where the source's are in its lip crop.

    The restored face is taken at its own resolution; upstream reduces it to 256 px first.

    Args:
        references: of the chunk.
        drift_px: float64 ``[A, 3, 2]``, smoothed over time.
        pads: room around the face.
        strength: share of the restored face, 0..1.

    Returns:
        uint8 ``[A, 384, 384, 3]``.
    """
    crops = lip_crops(references.anchors_px + drift_px, pads)
    pictures = np.stack(
        [cut(face, crop, LIP_PX) for face, crop in zip(references.rgb, crops, strict=True)]
    )
    if references.restored is None or strength == 0:
        return pictures
    square = inner_square(RESTORED_PX)
    sharp, to_restored = references.restored
    to_lips = compose_affine(crops, invert_affine(to_restored))
    for row, matrix in enumerate(to_lips):
        share = strength * warp(square, matrix, (LIP_PX, LIP_PX))[..., None]
        restored = warp(sharp[row], matrix, (LIP_PX, LIP_PX))
        mixed = pictures[row] + share * (restored.astype(np.float32) - pictures[row])
        pictures[row] = np.rint(mixed).astype(np.uint8)
    return pictures
