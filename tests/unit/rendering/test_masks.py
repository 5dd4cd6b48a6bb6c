"""Masks by their geometry: where they are one, where they are zero, and how soft they are."""

from __future__ import annotations

import numpy as np
import pytest

from models.blocks.lower_half import EDITED_FROM
from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, lip_anchors, lip_crops
from retalking.rendering.masks import (
    FACE_PARTS,
    MOUTH_PARTS,
    edited_band,
    inner_square,
    lower_face_mask,
    mouth_mask,
    part_mask,
    soften,
)
from tests.faces import frontal_landmarks
from tests.rounding import SINGLE
from third_party.parsenet import FacePart

HALF = round(EDITED_FROM * LIP_PX)


def in_crop(landmarks: np.ndarray) -> np.ndarray:
    return transform_points(lip_crops(lip_anchors(landmarks)), landmarks)


def at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    columns, rows = np.rint(points).astype(int).T
    return mask[rows, columns]


def border(mask: np.ndarray) -> np.ndarray:
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])


@pytest.mark.parametrize("whole", [False, True])
def test_the_band_is_zero_along_its_border_and_one_inside(whole: bool) -> None:
    band = edited_band(whole)
    assert band.shape == (LIP_PX, LIP_PX)
    assert band.dtype == np.float32
    assert border(band).max() == 0
    assert (band >= 0).all()
    assert (band <= 1).all()
    np.testing.assert_allclose(band, band[:, ::-1], atol=SINGLE)
    assert (band[HALF + 30 : -20, 20:-20] == 1).all()
    if whole:
        np.testing.assert_allclose(band, band[::-1], atol=SINGLE)
    else:
        assert band[:HALF].max() == 0
        assert np.diff(band[:, LIP_PX // 2]).max() < 0.1


def test_the_lower_face_holds_the_mouth_and_nothing_above_or_beside_the_face() -> None:
    points = in_crop(frontal_landmarks(70, 12))
    mask = lower_face_mask(points)
    assert mask.shape == (LIP_PX, LIP_PX)
    assert mask.dtype == np.float32
    assert (at(mask, points[48:68]) > 0.99).all()
    assert mask[:HALF].max() == 0
    assert border(mask).max() == 0
    assert mask[HALF + 60, 3] < 0.02
    beside_the_jaw = 1.25 * (points[2:6] - points[33]) + points[33]
    assert at(mask, beside_the_jaw).max() < 0.05
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_the_chin_has_room_to_open() -> None:
    points = in_crop(frontal_landmarks(70))
    chin = points[8] - (0, 3)
    assert at(lower_face_mask(points), chin[None])[0] > 0.6


def test_a_raised_chin_does_not_lose_the_upper_lip() -> None:
    points = in_crop(frontal_landmarks(70))
    points[[0, 1, 15, 16], 1] = HALF + 70
    assert (at(lower_face_mask(points), points[48:55]) > 0.9).all()


def test_the_whole_face_adds_the_upper_half() -> None:
    points = in_crop(frontal_landmarks(70))
    whole, lower = lower_face_mask(points, whole_face=True), lower_face_mask(points)
    assert (at(whole, points[36:48]) > 0.9).all()
    assert (whole >= lower - 1e-6).all()
    np.testing.assert_allclose(whole[300:], lower[300:], atol=SINGLE)
    assert border(whole).max() == 0


def test_landmarks_outside_the_crop_are_no_trouble() -> None:
    for points in (np.full((68, 2), -900.0), np.full((68, 2), 5000.0)):
        assert np.isfinite(lower_face_mask(points)).all()
        assert mouth_mask(points, 64).max() == 0


def test_masks_move_smoothly_with_the_landmarks() -> None:
    points = in_crop(frontal_landmarks(70))
    step = np.abs(lower_face_mask(points + 0.5) - lower_face_mask(points)).max()
    assert step < 0.05


def test_the_mouth_mask_covers_the_lips_only() -> None:
    points = frontal_landmarks(160) + np.array([256, 200])
    mask = mouth_mask(points, 512)
    assert mask.shape == (512, 512)
    assert mask.dtype == np.float32
    assert mask[round(points[48:68, 1].mean()), 256] > 0.75
    assert at(mask, points[[33, 8, 3, 13]]).max() < 0.05


def test_parts_are_told_apart() -> None:
    labels = np.zeros((512, 512), np.uint8)
    labels[:, 170:340] = FacePart.SKIN
    labels[:, 340:] = FacePart.UPPER_LIP
    face, mouth = part_mask(labels, FACE_PARTS), part_mask(labels, MOUTH_PARTS)
    np.testing.assert_allclose(face[256, [50, 255, 470]], [0, 1, 1], atol=1e-3)
    np.testing.assert_allclose(mouth[256, [50, 255, 470]], [0, 0, 1], atol=1e-3)
    assert face.dtype == np.float32


@pytest.mark.parametrize("part", FacePart)
def test_hair_ears_neck_and_clothes_are_not_pasted(part: FacePart) -> None:
    wanted = {"SKIN", "NOSE", "EYEGLASSES", "LEFT_EYE", "RIGHT_EYE", "LEFT_BROW", "RIGHT_BROW"}
    lips = {"MOUTH", "UPPER_LIP", "LOWER_LIP"}
    labels = np.full((64, 64), part, np.uint8)
    assert part_mask(labels, FACE_PARTS).max() == pytest.approx(float(part.name in wanted | lips))
    assert part_mask(labels, MOUTH_PARTS).max() == pytest.approx(float(part.name in lips))


@pytest.mark.parametrize("size_px", [64, 512])
def test_the_inner_square_fades_out_before_the_border(size_px: int) -> None:
    square = inner_square(size_px)
    assert square.shape == (size_px, size_px)
    assert border(square).max() < 0.01
    middle = slice(round(0.22 * size_px), -round(0.22 * size_px))
    np.testing.assert_allclose(square[middle, middle], 1, atol=1e-4)


def test_the_edge_is_as_wide_as_the_face_is_large() -> None:
    for size in (128, 512):
        step = np.zeros((size, size), np.float32)
        step[:, size // 2 :] = 1
        edge = soften(step)[size // 2]
        # The steepest slope of a Gaussian edge is 1 / (sigma sqrt(2 pi)).
        sigma = 1 / (np.diff(edge).max() * np.sqrt(2 * np.pi))
        assert sigma == pytest.approx(0.03 * size, rel=0.05)
