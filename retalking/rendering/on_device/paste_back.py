"""``retalking.rendering.paste_back.composite`` of batches of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from retalking.face.affine import invert_affine
from retalking.rendering.on_device.blending import blend_regions, match_colors, rings_of
from retalking.rendering.on_device.warping import resample
from retalking.rendering.paste_back import RING
from retalking.types import Float64Array, IntArray

Send = Callable[[Tensor], Tensor]
"""Brings numbers to the device."""


class Placed(NamedTuple):
    """Pictures in regions of frames.

    Attributes:
        patches: float32 ``[N, 3, h, w]`` in 0..255.
        masks: float32 ``[N, 1, h, w]``.
    """

    patches: Tensor
    masks: Tensor

    def over(self, others: Tensor) -> Tensor:
        """Lay them over other pictures."""
        return others + self.masks * (self.patches - others)

    def with_masks(self, masks: Tensor, to_layers: Float64Array) -> Placed:
        """Return the same with other masks; the arguments are those of ``lay``."""
        height, width = self.masks.shape[2:]
        shown = resample(masks, invert_affine(to_layers), (width, height))
        return Placed(self.patches, shown)


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


def lay(layers: Tensor, masks: Tensor, to_layers: Float64Array, regions: Tensor) -> Placed:
    """Bring pictures and masks of crops into regions of frames.

    Args:
        layers: float32 ``[N, 3, S, S]`` in 0..255.
        masks: float32 ``[N, 1, S, S]``.
        to_layers: float64 ``[N, 2, 3]``, region to crop.
        regions: float32 ``[N, 3, h, w]``.
    """
    height, width = regions.shape[2:]
    to_regions = invert_affine(to_layers)
    patches = resample(layers, to_regions, (width, height), repeats_edge=True)
    return Placed(patches, resample(masks, to_regions, (width, height)))


def match_rims(placed: Placed, regions: Tensor, heights_px: IntArray) -> Tensor:
    """Give patches the colours of the regions along the rims of their masks.

    Args:
        placed: of ``lay``.
        regions: float32 ``[N, 3, h, w]``.
        heights_px: int64 ``[N]``, of the crops' boxes in the frames.
    """
    widths = [max(round(RING * tall), 2) for tall in heights_px.tolist()]
    shown = placed.masks
    rings = [rings_of(shown[k : k + 1], width) for k, width in enumerate(widths)]
    return match_colors(placed.patches, regions, torch.cat(rings))


def blend_faces(
    regions: Tensor, patches: Tensor, masks: Tensor, num_bands: int, opacity: Tensor
) -> Tensor:
    """Blend patches into regions: uint8 ``[N, h, w, 3]``; see ``blend_regions``."""
    blended = blend_regions(regions, patches, masks, num_bands, opacity)
    return blended.permute(0, 2, 3, 1).to(torch.uint8).contiguous()
