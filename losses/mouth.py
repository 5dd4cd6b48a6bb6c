"""Criteria that look at the mouth alone; not in the paper, used by the lite recipes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.landmarks import CROP_MARGIN, LandmarkNet
from retalking.ibug68 import MOUTH, OUTER_LIPS, eye_centers, lip_opening

LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in brightness (ITU-R BT.601)."""
OPENING_SPREAD = 0.05
"""Usual standard deviation of the lip opening, in distances between the eyes."""


def weigh_mouth(landmarks_px: Tensor, size_px: int, factor: float) -> Tensor:
    """Weight pixels: ``factor`` in the widened box of the lips, 1 elsewhere.

    Args:
        landmarks_px: ``[N, 68, 2]``.
        size_px: side of the faces.
        factor: of the box.

    Returns:
        ``[N, 1, S, S]``.
    """
    lips = landmarks_px[:, MOUTH]
    low, high = lips.amin(1), lips.amax(1)
    margin = 0.25 * (high[:, :1] - low[:, :1])
    pixels = torch.arange(size_px, device=lips.device)
    (left, top), (right, bottom) = (low - margin).unbind(1), (high + margin).unbind(1)
    across = (pixels >= left[:, None]) & (pixels <= right[:, None])
    down = (pixels >= top[:, None]) & (pixels <= bottom[:, None])
    return 1 + (factor - 1) * (down[:, None, :, None] & across[:, None, None, :]).float()


class LipReader(nn.Module):
    """Sees how far the lips of painted faces are open, and passes the gradient on.

    Args:
        landmarks: trained network; it is frozen.
    """

    def __init__(self, landmarks: LandmarkNet) -> None:
        super().__init__()
        self.landmarks = landmarks.eval().requires_grad_(False)

    def forward(self, faces: Tensor, landmarks_px: Tensor) -> Tensor:
        """Measure openings.

        Args:
            faces: ``[N, 3, S, S]`` RGB in [0, 1].
            landmarks_px: ``[N, 68, 2]``, roughly where to look.

        Returns:
            float32 ``[N]``, see ``ibug68.lip_opening``.
        """
        # In colour, a painter soon learns tints that look like an open mouth to the network alone.
        faces = (faces * faces.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        faces = faces.expand(-1, 3, -1, -1)
        size = self.landmarks.config.crop_size_px
        crops = jitter(crop_transforms(landmarks_px, faces.shape[-1]), landmarks_px)
        grid = F.affine_grid(crops, [len(faces), 3, size, size], False)
        seen = F.grid_sample(faces, grid.to(faces.dtype), align_corners=False)
        points, _ = self.landmarks(seen)
        return lip_opening(points.float())


def crop_transforms(landmarks_px: Tensor, size_px: int) -> Tensor:
    """Place the crops that the landmark network was trained on.

    Args:
        landmarks_px: ``[N, 68, 2]``.
        size_px: side of the pictures.

    Returns:
        ``[N, 2, 3]`` for ``affine_grid``: the crop of ``face_crop.crop_around_landmarks``.
    """
    right, left = eye_centers(landmarks_px)
    eyes = (right + left) / 2
    down = F.normalize(landmarks_px[:, OUTER_LIPS].mean(1) - eyes, dim=1)
    across = torch.stack([down[:, 1], -down[:, 0]], dim=1)
    axes = torch.stack([across, down], dim=2)
    upright = landmarks_px @ axes
    low, high = upright.amin(1), upright.amax(1)
    sides = CROP_MARGIN * (high - low).amax(1).clamp(min=1)
    middles = (axes @ ((low + high) / 2).unsqueeze(2) + 0.5) * (2 / size_px) - 1
    return torch.cat([axes * (sides / size_px)[:, None, None], middles], dim=2)


def jitter(transforms: Tensor, landmarks_px: Tensor) -> Tensor:
    """Look from somewhere near, or a painter learns patterns that fool the one usual look.

    The change is random in effect, but a sample's own, so that workers, ranks and resuming do not
    change it.

    Args:
        transforms: ``[N, 2, 3]`` of ``crop_transforms``.
        landmarks_px: ``[N, 68, 2]``, from which the changes are derived.

    Returns:
        ``[N, 2, 3]``: turned by up to 6 degrees, 0.9 to 1.15 times as large, moved by up to 5 % of
        the side.
    """
    digits = (landmarks_px[:, :4, 0] * 977).frac().abs()
    angle = (digits[:, 0] - 0.5) * 0.2
    scale = 0.9 + 0.25 * digits[:, 1]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    linear = transforms[:, :, :2] @ turn
    shift = (digits[:, 2:] - 0.5)[:, :, None] * 0.2
    return torch.cat([linear, transforms[:, :, 2:] + linear @ shift], dim=2)


def opening_loss(openings: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance of lip openings from the wanted ones, in the usual spread of talking lips.

    Args:
        openings: ``[N]`` as the ``LipReader`` sees them.
        wanted: ``[N]``.
    """
    return (openings - wanted.clamp(min=0)).abs().mean() / OPENING_SPREAD
