"""Alignment of faces for the identity loss, and the loss itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from losses.identity import align_faces, fit_similarity, identity_loss
from third_party.arcface import ARCFACE_POINTS_112


def test_similarity_recovers_the_transform() -> None:
    angle, scale, shift = 0.4, 1.7, torch.tensor([3.0, -5.0])
    rotation = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    points = torch.randn(2, 5, 2)
    fitted = fit_similarity(points, points @ rotation.T + shift)
    torch.testing.assert_close(fitted[0], torch.cat([rotation, shift[:, None]], 1))


def test_alignment_of_an_aligned_face_changes_nothing() -> None:
    image = torch.rand(2, 3, 112, 112)
    points = torch.tensor(ARCFACE_POINTS_112).expand(2, 5, 2)
    torch.testing.assert_close(align_faces(image, points), image, atol=2e-4, rtol=0)


def test_alignment_finds_a_shifted_face_and_passes_gradients() -> None:
    image = torch.rand(1, 3, 160, 150, requires_grad=True)
    points = torch.tensor(ARCFACE_POINTS_112)[None] + torch.tensor([20.0, 30.0])
    crop = align_faces(image, points)
    torch.testing.assert_close(crop, image[..., 30:142, 20:132], atol=2e-4, rtol=0)
    crop.sum().backward()
    assert image.grad is not None
    assert image.grad[..., 40:130, 30:120].min() > 0


def test_identity_loss_is_one_minus_cosine() -> None:
    def embed(face: Tensor) -> Tensor:
        return face.mean((2, 3))

    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    pink = torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert identity_loss(embed, red, 5 * red).item() == pytest.approx(0, abs=1e-6)
    assert identity_loss(embed, red, pink).item() == pytest.approx(1 - math.sqrt(0.5))
