"""How training, inference and evaluation call the networks of the lips.

L-Net, E-Net and the lip-sync expert take BGR, as the released ones do, and no lower half of the
face that they paint; that is known here and nowhere else. All pictures given and returned are RGB
in [0, 1]. ``N`` counts faces, ``T`` the frames of a window.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.blocks.lower_half import hide_lower_half
from models.enet import ENet, ENetOutput, Noise
from models.lnet import LNet

EXPERT_PX = 96
"""Side of the faces of which the lip-sync expert sees the lower halves."""


class SmallFaces(NamedTuple):
    """What the L-Net inside E-Net is to see, ``[N, 3, s, s]`` each."""

    faces: Tensor
    references: Tensor


def paint_lips(lnet: LNet, mels: Tensor, faces: Tensor, references: Tensor) -> Tensor:
    """Let L-Net paint the lower halves of faces.

    Args:
        lnet: the network.
        mels: ``[N, 1, 80, 16]``.
        faces: ``[N, 3, S, S]``; their lower half is not read.
        references: like ``faces``.

    Returns:
        Faces like ``faces``.
    """
    return swap_colours(lnet(mels, _hide_and_join(faces, references)))


def enlarge_lips(
    enet: ENet,
    mels: Tensor,
    faces: Tensor,
    references: Tensor,
    noise: Noise | None = None,
    small: SmallFaces | None = None,
    painted_only: bool = False,
) -> ENetOutput:
    """Let E-Net enlarge what the L-Net inside it paints.

    Args:
        enet: the network.
        mels: ``[N, 1, 80, 16]``.
        faces: ``[N, 3, S, S]``; their lower half is not read.
        references: like ``faces``.
        noise: see ``ENet.forward``.
        small: what L-Net sees instead of ``faces`` and ``references`` shrunk.
        painted_only: see ``ENet.forward``.

    Returns:
        RGB, in the range of ``ENetOutput``.
    """
    seen = None if small is None else _hide_and_join(*small)
    masked = swap_colours(hide_lower_half(faces))
    large, low_res = enet(
        mels, masked, swap_colours(references), noise, seen, painted_only=painted_only
    )
    return ENetOutput(swap_colours(large), swap_colours(low_res))


def shrink_for_expert(faces: Tensor) -> Tensor:
    """Bring faces ``[N, 3, S, S]`` to the size of which the expert sees the lower halves."""
    if faces.shape[-1] == EXPERT_PX:
        return faces
    return F.interpolate(faces, (EXPERT_PX, EXPERT_PX), mode="area")


def view_of_expert(lower_halves: Tensor) -> Tensor:
    """Turn lower halves ``[..., T, 3, h, W]`` into what the expert sees, ``[..., 3 T, h, W]``."""
    return swap_colours(lower_halves).flatten(-4, -3)


def swap_colours(pictures: Tensor) -> Tensor:
    """Turn RGB pictures ``[..., 3, H, W]`` into BGR, or the other way round."""
    return pictures.flip(-3)


def _hide_and_join(faces: Tensor, references: Tensor) -> Tensor:
    return torch.cat([swap_colours(hide_lower_half(faces)), swap_colours(references)], dim=1)
