"""Alignment of faces for the identity loss, and the loss itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from losses.identity import align_faces, fit_similarity, identity_loss
from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, Pads, cut, lip_anchors, lip_crops, lip_stretch
from retalking.ibug68 import LEFT_EYE, RIGHT_EYE
from retalking.media.images import to_tensor
from retalking.metrics.identity import align_face
from tests.faces import frontal_landmarks
from third_party.arcface import ARCFACE_POINTS_112


def test_similarity_recovers_the_transform() -> None:
    angle, scale, shift = 0.4, 1.7, torch.tensor([3.0, -5.0])
    rotation = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    points = torch.randn(2, 5, 2)
    fitted = fit_similarity(points, points @ rotation.T + shift)
    torch.testing.assert_close(fitted[0], torch.cat([rotation, shift[:, None]], 1))


def landmarks_at(points_px: Tensor) -> Tensor:
    """Landmarks ``[N, 68, 2]`` whose five points are ``[N, 5, 2]``."""
    landmarks = torch.zeros(len(points_px), 68, 2)
    for part, place in zip((RIGHT_EYE, LEFT_EYE, 30, 48, 54), points_px.unbind(1), strict=True):
        landmarks[:, part] = place[:, None] if isinstance(part, slice) else place
    return landmarks


def test_alignment_of_an_aligned_face_changes_nothing() -> None:
    image = torch.rand(2, 3, 112, 112)
    landmarks = landmarks_at(torch.tensor(ARCFACE_POINTS_112).expand(2, 5, 2))
    torch.testing.assert_close(align_faces(image, landmarks, 1), image, atol=2e-4, rtol=0)


def test_alignment_finds_a_shifted_face_and_passes_gradients() -> None:
    image = torch.rand(1, 3, 160, 150, requires_grad=True)
    points = torch.tensor(ARCFACE_POINTS_112)[None] + torch.tensor([20.0, 30.0])
    crop = align_faces(image, landmarks_at(points), 1)
    torch.testing.assert_close(crop, image[..., 30:142, 20:132], atol=2e-4, rtol=0)
    crop.sum().backward()
    assert image.grad is not None
    assert image.grad[..., 40:130, 30:120].min() > 0


def test_half_precision_does_not_move_the_face() -> None:
    image = torch.rand(1, 3, 384, 384)
    points = torch.tensor(ARCFACE_POINTS_112)[None] * 3 + 20
    crop = align_faces(image, landmarks_at(points), 1)
    with torch.autocast("cpu", torch.bfloat16):
        halved = align_faces(image, landmarks_at(points), 1)
    torch.testing.assert_close(halved, crop, rtol=0, atol=0)


def test_the_loss_sees_the_face_that_csim_sees() -> None:
    """In the stretched lip crop of a frame, and with one eye half closed."""
    landmarks = frontal_landmarks(90, roll_deg=12) + np.array([210, 190])
    landmarks[37:39] += (0, 9)  # an upper lid, which eye corners do not tell
    columns, rows = np.meshgrid(np.arange(420.0), np.arange(400.0))
    waves = [np.sin(columns / 17 + k) + np.cos(rows / 13 - k) for k in range(3)]
    frame = np.rint(127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)
    to_lips = lip_crops(lip_anchors(landmarks))
    lips = to_tensor(cut(frame, to_lips, LIP_PX)[None])
    points = torch.from_numpy(transform_points(to_lips, landmarks)[None]).float()
    seen = align_faces(lips, points, lip_stretch(Pads()))[0] * 255
    expected = torch.from_numpy(align_face(frame, landmarks.astype(np.float32))).permute(2, 0, 1)
    # OpenCV samples in 1/32 px, and the lips were sampled before: 0.4 levels here; eyes by their
    # corners are 2.7 apart. Beyond this window the lip crop ends.
    inside = (slice(None), slice(30, 96), slice(22, 90))
    assert (seen - expected)[inside].abs().mean() < 1
    askew = align_faces(lips, points, 1)[0] * 255
    assert (askew - expected)[inside].abs().mean() > 8


def test_identity_loss_is_one_minus_cosine() -> None:
    def embed(face: Tensor) -> Tensor:
        return face.mean((2, 3))

    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    pink = torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert identity_loss(embed, red, 5 * red).item() == pytest.approx(0, abs=1e-6)
    assert identity_loss(embed, red, pink).item() == pytest.approx(1 - math.sqrt(0.5))
