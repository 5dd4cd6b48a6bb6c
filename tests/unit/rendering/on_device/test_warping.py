"""Warps, averages, pyramids, blurs and masks of tensors against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, lip_anchors, lip_crops, warp
from retalking.rendering.masks import lower_face_mask
from retalking.rendering.on_device.blending import double, halve
from retalking.rendering.on_device.filters import blur
from retalking.rendering.on_device.masks import lower_face_masks, outline_rows
from retalking.rendering.on_device.warping import resample, resized, resizing_taps
from tests.faces import frontal_landmarks

PICTURE = skimage.data.astronaut()[:300, :400]


def planes(*pictures: np.ndarray) -> Tensor:
    rows = [picture if picture.ndim == 3 else picture[..., None] for picture in pictures]
    return torch.from_numpy(np.stack(rows).astype(np.float32)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("repeats_edge", [False, True])
def test_a_batch_is_warped_as_opencv_warps_each(repeats_edge: bool) -> None:
    """The scales differ: some pictures are averaged by 2 or 3 first."""
    scales = (0.31, 0.4, 0.5, 0.9, 1.7)
    matrices = np.array([[[k, -0.05, 3.3], [0.05, k, -5.7]] for k in scales])
    border = cv2.BORDER_REPLICATE if repeats_edge else cv2.BORDER_CONSTANT
    expected = np.stack([warp(PICTURE, matrix, (200, 210), border) for matrix in matrices])
    got = resample(planes(*[PICTURE] * 5), matrices, (200, 210), repeats_edge, rounds=True)
    difference = np.abs(got.permute(0, 2, 3, 1).numpy() - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.001  # 0.00002 was seen


def test_parts_are_resized_as_by_opencv() -> None:
    """Larger, smaller, and beyond the picture, where it is black."""
    boxes = np.array([[-30, -20, 150, 160], [10, 20, 138, 148], [200, -50, 595, 345]])
    got = resized(planes(*[PICTURE] * 3), torch.from_numpy(resizing_taps(boxes, 256)))
    framed = cv2.copyMakeBorder(PICTURE, 100, 100, 100, 250, cv2.BORDER_CONSTANT)
    for made, (x1, y1, x2, y2) in zip(got, boxes + 100, strict=True):
        expected = cv2.resize(framed[y1:y2, x1:x2], (256, 256), interpolation=cv2.INTER_LINEAR)
        difference = np.abs(made.permute(1, 2, 0).numpy() - expected)
        assert difference.max() <= 1  # on other machines OpenCV may round otherwise; here 0
        assert difference.mean() < 0.01


@pytest.mark.parametrize("size", [(97, 131), (64, 64), (5, 3), (1, 7), (2, 2)])
def test_pyramids_are_those_of_opencv(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)
    small = cv2.pyrDown(picture)
    np.testing.assert_allclose(halve(planes(picture))[0, 0], small, atol=1e-3)
    large = cv2.pyrUp(small, dstsize=size[::-1])
    np.testing.assert_allclose(double(planes(small), planes(picture))[0, 0], large, atol=1e-3)


def test_blur_is_that_of_opencv() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (50, 70)).astype(np.float32)
    expected = cv2.GaussianBlur(picture, (0, 0), 1.5)
    np.testing.assert_allclose(blur(planes(picture), 1.5)[0, 0], expected, atol=1e-2)


@pytest.mark.parametrize("whole_face", [False, True])
def test_masks_are_those_of_opencv(whole_face: bool) -> None:
    faces = np.stack([frontal_landmarks(60, 7) + 150, frontal_landmarks(50, -20) + 140])
    points = transform_points(lip_crops(lip_anchors(faces)), faces)
    points += np.random.default_rng(0).normal(0, 3, points.shape)
    rows = torch.from_numpy(outline_rows(points, whole_face))
    for mask, landmarks in zip(lower_face_masks(rows, whole_face), points, strict=True):
        assert mask.shape == (1, LIP_PX, LIP_PX)
        expected = lower_face_mask(landmarks, whole_face)
        assert expected.max() > 0.9
        np.testing.assert_allclose(mask[0], expected, atol=1e-4)
