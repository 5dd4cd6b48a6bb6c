"""Identity preservation in the space of a face-recognition teacher (paper Eq. 12)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from third_party.arcface import ARCFACE_POINTS_112, ARCFACE_PX


def fit_similarity(source: Tensor, target: Tensor) -> Tensor:
    """Fit rotation, uniform scale and shift by least squares.

    Args:
        source: ``[B, P, 2]`` points.
        target: ``[B, P, 2]`` or ``[P, 2]`` where they should go.

    Returns:
        ``[B, 2, 3]`` matrices that map source to target.
    """
    target = target.expand_as(source)
    source_mean, target_mean = source.mean(1), target.mean(1)
    s, t = source - source_mean[:, None], target - target_mean[:, None]
    energy = s.square().sum((1, 2))
    a = (s * t).sum((1, 2)) / energy
    b = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(1) / energy
    linear = torch.stack([torch.stack([a, -b], 1), torch.stack([b, a], 1)], 1)
    shift = target_mean - (linear @ source_mean[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], 2)


def align_faces(images: Tensor, points_px: Tensor, size_px: int = ARCFACE_PX) -> Tensor:
    """Cut the aligned crop that ArcFace expects, differentiably in ``images``.

    Args:
        images: ``[B, C, H, W]``.
        points_px: ``[B, 5, 2]`` eyes, nose tip and mouth corners; pixel centres are integers.
        size_px: side of the crop.

    Returns:
        ``[B, C, size_px, size_px]``, bilinear; black where the crop leaves the picture.
    """
    scale = size_px / ARCFACE_PX
    template = points_px.new_tensor(ARCFACE_POINTS_112) * scale
    to_image = fit_similarity(template.expand_as(points_px), points_px)
    axis = torch.arange(size_px, dtype=points_px.dtype, device=points_px.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1) @ to_image.transpose(1, 2)[:, None]
    extent = grid.new_tensor([images.shape[-1], images.shape[-2]])
    normalised = (2 * grid + 1) / extent - 1
    return F.grid_sample(images, normalised.to(images.dtype), align_corners=False)


def identity_loss(embed: Callable[[Tensor], Tensor], output: Tensor, target: Tensor) -> Tensor:
    """Mean of one minus the cosine similarity of two faces' embeddings.

    Eq. 12 takes the distance of ArcFace features; for unit vectors ``|a - b|^2 = 2 (1 - cos)``, so
    this is half its square.

    Args:
        embed: frozen teacher, ``[B, 3, S, S]`` -> ``[B, C]``.
        output: aligned generated faces as ``embed`` wants them.
        target: aligned ground truth.
    """
    with torch.no_grad():
        wanted = embed(target)
    return 1 - F.cosine_similarity(embed(output).float(), wanted.float(), dim=1).mean()
