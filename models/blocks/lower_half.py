"""Which part of a face the networks paint: known here and nowhere else.

Faces are ``[..., H, W]``, in the lip crop of ``retalking.face.crops``.
"""

from __future__ import annotations

import torch
from torch import Tensor

EDITED_FROM = 0.5
"""Height of the face from which the networks inpaint; the lip crop has the nose tip there."""


def edited_rows(size_px: int) -> slice:
    """Return the rows of a face ``size_px`` high that the networks paint."""
    size_px = int(size_px)  # a tensor while a network is traced
    return slice(round(EDITED_FROM * size_px), size_px)


def lower_half(faces: Tensor) -> Tensor:
    """Return the painted part ``[..., H / 2, W]`` of faces."""
    return faces[..., edited_rows(faces.shape[-2]), :]


def hide_lower_half(faces: Tensor) -> Tensor:
    """Return faces whose painted part is zero; those given stay as they are."""
    hidden = faces.clone()
    hidden[..., edited_rows(faces.shape[-2]), :] = 0
    return hidden


def join_halves(face: Tensor, reference: Tensor) -> Tensor:
    """Put the painted part of a reference below the rest of a face of the same size."""
    kept = slice(0, edited_rows(face.shape[-2]).start)
    return torch.cat([face[..., kept, :], lower_half(reference)], dim=-2)
