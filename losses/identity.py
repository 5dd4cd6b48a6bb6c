"""Identity preservation in the space of a face-recognition teacher (paper Eq. 12)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from retalking.ibug68 import five_points
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


def align_faces(images: Tensor, landmarks_px: Tensor, stretch: float) -> Tensor:
    """Cut the aligned crop that ArcFace expects, differentiably in ``images``.

    A face that is stretched in the picture is put right on the way, so that ArcFace sees what it
    sees of the same face in a frame (``metrics.identity``). A free affine fit would put right how
    people differ as well.

    Args:
        images: ``[B, C, H, W]``.
        landmarks_px: ``[B, 68, 2]``; pixel centres are integers.
        stretch: pixels that a length takes across, over those that it takes down.

    Returns:
        float32 ``[B, C, 112, 112]``, bilinear; black where the crop leaves the picture.
    """
    height, width = images.shape[-2:]
    # Half precision tells positions in a face of 384 px apart by one or two pixels.
    with torch.autocast(images.device.type, enabled=False):
        true = landmarks_px.new_tensor([1, stretch])
        points = five_points(landmarks_px) * true
        to_face = fit_similarity(points, points.new_tensor(ARCFACE_POINTS_112))
        axis = torch.arange(ARCFACE_PX, dtype=points.dtype, device=points.device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        pixels = torch.stack([x, y], -1).flatten(0, 1) - to_face[:, None, :, 2]
        # Rows are multiplied from the left, so the inverse acts by its transpose.
        places = pixels @ torch.linalg.inv(to_face[:, :, :2]).mT / true
        grid = (2 * places + 1) / places.new_tensor([width, height]) - 1
        grid = grid.unflatten(1, (ARCFACE_PX, ARCFACE_PX))
        return F.grid_sample(images.float(), grid, align_corners=False)


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
