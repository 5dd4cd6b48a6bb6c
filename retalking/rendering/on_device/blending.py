"""``retalking.rendering.blending`` on batches of tensors.

Pictures are float32 ``[N, C, H, W]`` in 0..255, masks ``[N, 1, H, W]`` in [0, 1].
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from retalking.rendering.blending import FULL_EFFECT, GAIN_RANGE, MIN_RING_PIXELS

_FLAT = 1e-3
"""Standard deviation below which a ring has no contrast to match."""


def blend_regions(
    regions: Tensor, patches: Tensor, masks: Tensor, num_levels: int, opacity: Tensor
) -> Tensor:
    """Blend patches into regions of frames band by band; see ``blending.blend_region``.

    Args:
        regions: of the frames.
        patches: what replaces them.
        masks: where.
        num_levels: bands.
        opacity: ``[N]``, share of the change that is made.

    Returns:
        Whole numbers, equal to ``regions`` where the mask is 0.
    """
    content = torch.where(masks > 0, patches, regions)
    weights = [masks]
    for _ in range(num_levels - 1):
        weights.append(halve(weights[-1]))
    first, second = content, regions
    bands = []
    for weight in weights[:-1]:
        small = halve(first), halve(second)
        details = first - double(small[0], first), second - double(small[1], second)
        bands.append(_mix(*details, weight))
        first, second = small
    blended = _mix(first, second, weights[-1])
    while bands:
        band = bands.pop()
        blended = band + double(blended, band)
    effect = opacity[:, None, None, None] * (masks / FULL_EFFECT).clamp(max=1)
    return (regions + effect * (blended - regions)).clamp(0, 255).round()


def rings_of(masks: Tensor, width_px: int) -> Tensor:
    """Pixels of the masks' support near its edge, bool; see ``blending.border_ring``."""
    outside = (masks <= 0).to(masks.dtype)
    grown = max_pool2d(outside, 2 * width_px + 1, stride=1, padding=width_px)
    return (masks > 0) & (grown > 0)


def match_colors(patches: Tensor, regions: Tensor, rings: Tensor) -> Tensor:
    """Give patches the colours that the regions have on rings; see ``blending.match_color``."""
    have, want = (_statistics(part, rings) for part in (patches, regions))
    gain = (want[1] / have[1].clamp(min=_FLAT)).clamp(*GAIN_RANGE)
    gain = torch.where(have[1] < _FLAT, torch.ones_like(gain), gain)
    matched = gain * patches + (want[0] - gain * have[0])
    enough = rings.sum((2, 3), keepdim=True) >= MIN_RING_PIXELS
    return torch.where(enough, matched, patches)


def halve(pictures: Tensor) -> Tensor:
    """``cv2.pyrDown``: smoothed with 1 4 6 4 1, every other row and column."""
    for axis in (2, 3):
        count = (pictures.shape[axis] + 1) // 2
        wide = reflected(pictures, axis, 2)
        parts = [_every_other(wide, axis, first, count) for first in range(5)]
        pictures = (parts[0] + parts[4] + 4 * (parts[1] + parts[3]) + 6 * parts[2]) / 16
    return pictures


def double(pictures: Tensor, like: Tensor) -> Tensor:
    """``cv2.pyrUp`` to the size of ``like``, which ``halve`` makes such pictures of."""
    for axis in (2, 3):
        length, wanted = pictures.shape[axis], like.shape[axis]
        before = torch.cat(
            [pictures.narrow(axis, min(1, length - 1), 1), pictures.narrow(axis, 0, length - 1)],
            axis,
        )
        after = torch.cat(
            [pictures.narrow(axis, 1, length - 1), pictures.narrow(axis, length - 1, 1)], axis
        )
        pair = ((before + 6 * pictures + after) / 8, (pictures + after) / 2)
        pictures = torch.stack(pair, axis + 1).flatten(axis, axis + 1).narrow(axis, 0, wanted)
    return pictures


def reflected(pictures: Tensor, axis: int, margin: int) -> Tensor:
    """Pictures with a margin that mirrors them at the pixels of their edge."""
    places = _reflected_places(pictures.shape[axis], margin, pictures.device)
    return pictures.index_select(axis, places)


@lru_cache(maxsize=64)
def _reflected_places(length: int, margin: int, device: torch.device) -> Tensor:
    places = [reflect(place, length) for place in range(-margin, length + margin)]
    return torch.tensor(places, device=device)


def _mix(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return weight * first + (1 - weight) * second


def _statistics(pictures: Tensor, rings: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[N, C, 1, 1]`` of the pixels on rings."""
    count = rings.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (pictures * rings).sum((2, 3), keepdim=True) / count
    power = ((pictures - mean).square() * rings).sum((2, 3), keepdim=True) / count
    return mean, power.sqrt()


def reflect(place: int, length: int) -> int:
    """OpenCV's ``BORDER_REFLECT_101``."""
    if length == 1:
        return 0
    place %= 2 * length - 2
    return min(place, 2 * length - 2 - place)


def _every_other(pictures: Tensor, axis: int, first: int, count: int) -> Tensor:
    taken = slice(first, first + 2 * count - 1, 2)
    return pictures[(slice(None),) * axis + (taken,)]
