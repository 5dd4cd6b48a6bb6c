"""``retalking.rendering.paste_back.composite`` of batches of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from retalking.face.affine import invert_affine
from retalking.rendering.on_device.blending import blend_regions, match_colors, rings_of
from retalking.rendering.on_device.warping import resample
from retalking.rendering.paste_back import RING
from retalking.types import Float64Array, IntArray

Send = Callable[[Tensor], Tensor]
"""Brings numbers to the device."""


class BatchMark(Protocol):
    """What a ``Mark`` does, to a batch of new faces."""

    def mark_batch(
        self,
        patches: Tensor,
        masks: Tensor,
        corners_px: IntArray,
        numbers: IntArray,
        source: IntArray,
        send: Send,
    ) -> Tensor:
        """Return marked faces.

        Args:
            patches: float32 ``[N, 3, h, w]`` in 0..255, in pixels of the frames.
            masks: float32 ``[N, 1, h, w]``, where they will show.
            corners_px: int64 ``[N, 2]``, x and y of the patches in the frames.
            numbers: int64 ``[N]``, of the output frames.
            source: int64 ``[N]``, the frames that they show.
            send: brings numbers to the device.
        """


def place_faces(
    faces: Tensor, masks: Tensor, regions: Tensor, to_crops: Float64Array, heights_px: IntArray
) -> tuple[Tensor, Tensor]:
    """Bring faces and masks into regions of frames, with the colours of these.

    Args:
        faces: float32 ``[N, 3, S, S]`` in 0..255.
        masks: float32 ``[N, 1, S, S]``.
        regions: float32 ``[N, 3, h, w]``.
        to_crops: float64 ``[N, 2, 3]``, region to crop.
        heights_px: int64 ``[N]``, of the crops' boxes in the frames.

    Returns:
        Patches and masks of the size of the regions.
    """
    height, width = regions.shape[2:]
    to_regions = invert_affine(to_crops)
    patches = resample(faces, to_regions, (width, height), repeats_edge=True)
    shown = resample(masks, to_regions, (width, height))
    widths = [max(round(RING * tall), 2) for tall in heights_px.tolist()]
    rings = [rings_of(shown[k : k + 1], width) for k, width in enumerate(widths)]
    return match_colors(patches, regions, torch.cat(rings)), shown


def blend_faces(
    regions: Tensor, patches: Tensor, masks: Tensor, num_bands: int, opacity: Tensor
) -> Tensor:
    """Blend patches into regions: uint8 ``[N, h, w, 3]``; see ``blend_regions``."""
    blended = blend_regions(regions, patches, masks, num_bands, opacity)
    return blended.permute(0, 2, 3, 1).to(torch.uint8).contiguous()
