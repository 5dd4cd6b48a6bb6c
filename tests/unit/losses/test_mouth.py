"""What the lite recipes add to the paper's criteria, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from losses.motion import point_loss
from losses.mouth import LipReader, crop_transforms, jitter, opening_loss, weigh_mouth
from models.blocks.warping import flow_to_deformation, warp
from models.landmarks import LandmarkNet, LandmarkNetConfig
from retalking.face.landmark_crop import crop_around_landmarks
from tests.faces import frontal_landmarks


def faces(count: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    turned = []
    for _ in range(count):
        angle = rng.uniform(-0.5, 0.5)
        cos, sin = np.cos(angle), np.sin(angle)
        points = (frontal_landmarks() - frontal_landmarks().mean(0)) * rng.uniform(0.5, 1)
        turned.append(points @ np.array([[cos, sin], [-sin, cos]]) * 0.3 + 48)
    return torch.tensor(np.stack(turned), dtype=torch.float32)


def test_mouth_box_counts_more() -> None:
    points = torch.zeros(1, 68, 2)
    points[:, 48:] = torch.tensor([8.0, 8.0])
    points[:, 48, 0], points[:, 54, 0] = 4, 12
    weight = weigh_mouth(points, 16, 4)[0, 0]
    assert weight.sum() == 16 * 16 + 3 * (13 * 5)
    assert weight[8, 8] == 4
    assert weight[0, 0] == 1


def test_crops_are_those_of_the_landmarker() -> None:
    points = faces(4)
    transforms = crop_transforms(points, 96)
    for face, transform in zip(points.numpy(), transforms.numpy(), strict=True):
        crop = crop_around_landmarks(face)
        corners = np.array([(0, 0), (1, 0), (0.3, 0.8)], np.float32)
        expected = (crop.to_picture(corners) + 0.5) * (2 / 96) - 1
        got = (2 * corners - 1) @ transform[:, :2].T + transform[:, 2]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_lip_reader_passes_the_gradient_to_the_picture_alone() -> None:
    torch.manual_seed(0)
    reader = LipReader(LandmarkNet(LandmarkNetConfig(32, (16, 16, 16, 16), 16)))
    pictures = torch.rand(2, 3, 96, 96, requires_grad=True)
    reader(pictures, faces(2)).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in reader.parameters())


def test_jitter_is_small_and_a_samples_own() -> None:
    points = faces(50)
    plain = crop_transforms(points, 96)
    moved = jitter(plain, points)
    torch.testing.assert_close(jitter(plain[7:8], points[7:8]), moved[7:8])
    ratios = (torch.linalg.det(moved[:, :, :2]) / torch.linalg.det(plain[:, :, :2])).sqrt()
    assert 0.9 <= ratios.min() < 0.95
    assert 1.1 < ratios.max() <= 1.151
    sides = torch.linalg.det(plain[:, :, :2]).sqrt()
    shifts = (moved[:, :, 2] - plain[:, :, 2]).abs().amax(1) / sides
    assert 0.05 < shifts.max() < 0.2


def test_openings_are_judged_in_the_usual_spread() -> None:
    loss = opening_loss(torch.tensor([0.3, 0.1]), torch.tensor([0.2, -0.5]))
    # Lips cannot be less than closed.
    assert float(loss) == pytest.approx((0.1 + 0.1) / 2 / 0.05)


def test_flow_that_fetches_the_landmarks_costs_nothing() -> None:
    size, cells = 64, 16
    targets = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(1)) * 40 + 12
    # Upstream's base grid is not the identity: where zero flow leads is read off its own warp.
    ramp = torch.arange(size).float()
    pictures = torch.stack([ramp.expand(size, size), ramp[:, None].expand(size, size)])[None]
    flow = torch.zeros(1, 2, cells, cells)
    flow[:, 0] = 1.0
    fetched = warp(pictures, flow_to_deformation(flow))
    asked = ((targets + 0.5) * (2 / size) - 1)[:, None]
    sources = F.grid_sample(fetched, asked, align_corners=False)[:, :, 0].transpose(1, 2)
    assert float(point_loss(flow, sources, targets, size, lips=4)) < 0.05
    assert float(point_loss(flow, sources + 3, targets, size, lips=4)) == pytest.approx(6, abs=0.1)


def test_lips_count_more_in_the_flow() -> None:
    flow, targets = torch.zeros(1, 2, 8, 8), torch.full((1, 68, 2), 32.0)
    sources = targets.clone()
    sources[:, 48:] += 10
    even, lips = (float(point_loss(flow, sources, targets, 64, lips=k)) for k in (1, 4))
    assert lips > 1.5 * even
