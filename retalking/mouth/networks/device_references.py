"""``References`` on the device: where their pictures come from, and what is cut out of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retalking.face.affine import compose_affine, invert_affine
from retalking.face.crops import LIP_PX, Pads, lip_crops
from retalking.mouth.networks.reference_frames import ReferenceFrames
from retalking.mouth.networks.references import align_references, sharpen
from retalking.networks.calls import RESTORED_PX, FaceRestorer
from retalking.networks.run import Run
from retalking.networks.runner import Runner
from retalking.rendering.masks import inner_square
from retalking.rendering.on_device.pictures import cut, to_bytes, to_planes
from retalking.rendering.on_device.warping import resample
from retalking.types import Float64Array, IntArray

Sharpened = tuple[Tensor, Float64Array]
"""Restored faces uint8 ``[A, 512, 512, 3]``, and ``[A, 2, 3]`` from D-Net's faces to these."""


class SentFrames:
    """Pictures of ``ReferenceFrames``, each of which goes up once while a shot lasts."""

    def __init__(self, frames: ReferenceFrames, shot_id: IntArray, runner: Runner) -> None:
        """Take the frames of a video, of which ``shot_id`` ``[F]`` tells the shots."""
        self._frames, self._shot_id, self._runner = frames, shot_id, runner
        self._held: dict[int, Tensor] = {}

    def of(self, source: IntArray) -> Tensor:
        """Return the pictures uint8 ``[A, S, S, 3]`` that stand for frames ``[A]``."""
        chosen = self._frames.index[source].tolist()
        missing = sorted(set(chosen) - self._held.keys())
        if missing:
            shots = set(self._shot_id[source].tolist())
            of_shots = np.flatnonzero(np.isin(self._shot_id, list(shots)))
            wanted = set(self._frames.index[of_shots].tolist()) - {-1}
            self._held = {number: self._held[number] for number in wanted & self._held.keys()}
            new = sorted(wanted - self._held.keys())
            pictures = np.stack([self._frames.rgb[number] for number in new])
            self._held |= zip(new, self._runner.send(torch.from_numpy(pictures)), strict=True)
        return torch.stack([self._held[number] for number in chosen])


def enhance(
    run: Run,
    restorer: FaceRestorer,
    edited: Tensor,
    landmarks_px: Float64Array,
    to_lips: Float64Array,
) -> Sharpened:
    """``restore_references`` of float32 ``[A, 3, S, S]`` in 0..255."""
    to_restored, fits = align_references(restorer, landmarks_px, to_lips)
    aligned = to_bytes(cut(edited, to_restored, RESTORED_PX))
    return sharpen(run, restorer, aligned, fits), to_restored


class ReferenceCutter:
    """``cut_references`` on the device."""

    def __init__(self, pads: Pads, strength: float, runner: Runner) -> None:
        """Prepare: room around the face, and the share of sharpened faces, 0..1."""
        self._pads, self._strength = pads, strength
        square = torch.from_numpy(inner_square(RESTORED_PX))[None, None]
        self._square = runner.send(square) if strength > 0 else None

    def cut(self, edited: Tensor, sharpened: Sharpened | None, anchors_px: Float64Array) -> Tensor:
        """Cut references out.

        Args:
            edited: float32 ``[A, 3, S, S]`` in 0..255.
            sharpened: made of these, if anything is.
            anchors_px: float64 ``[A, 3, 2]``, eyes and nose in ``edited``.

        Returns:
            float32 ``[A, 3, 384, 384]``, whole numbers.
        """
        crops = lip_crops(anchors_px, self._pads)
        pictures = cut(edited, crops, LIP_PX)
        if sharpened is None or self._square is None:
            return pictures
        sharp, to_restored = sharpened
        to_lips, size = compose_affine(crops, invert_affine(to_restored)), (LIP_PX, LIP_PX)
        square = self._square.expand(len(sharp), -1, -1, -1)
        share = self._strength * resample(square, to_lips, size)
        restored = resample(to_planes(sharp), to_lips, size, rounds=True)
        return (pictures + share * (restored - pictures)).round()
