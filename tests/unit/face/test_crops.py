"""Crops that follow a face: where they lie, and that nothing is rounded or lost on the way."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from models.blocks.lower_half import EDITED_FROM
from retalking.face.affine import compose_affine, invert_affine, transform_points
from retalking.face.crops import (
    LIP_PX,
    STABILISER_PX,
    Pads,
    crop_bounds,
    cut,
    enlarge_crops,
    lip_anchors,
    lip_crops,
    shift_source,
    smooth_anchors,
    stabiliser_crops,
    warp,
)
from retalking.face.ffhq import ffhq_quad
from tests.faces import frontal_landmarks, make_track


def similarity(scale: float, turn_deg: float, x_px: float, y_px: float) -> np.ndarray:
    turn = np.deg2rad(turn_deg)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[cos, -sin, x_px], [sin, cos, y_px]])


def ramp(width: int, height: int, across: float, down: float) -> np.ndarray:
    """Float32 picture whose value is a linear function of the pixel's position."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return across * x + down * y


def test_anchors_are_the_eyes_and_the_base_of_the_nose() -> None:
    anchors = lip_anchors(frontal_landmarks(100))
    np.testing.assert_allclose(anchors, [(-50, 0), (50, 0), (0, 67)], atol=1e-9)


def test_the_lip_crop_is_level_and_begins_to_edit_below_the_nose_bridge() -> None:
    landmarks = frontal_landmarks(80, roll_deg=25) + np.array([300, 200])
    anchors = lip_anchors(landmarks)
    left, right, nose = transform_points(lip_crops(anchors), anchors)
    assert left[1] == pytest.approx(right[1], abs=1e-9)
    assert (left[0] + right[0]) / 2 == pytest.approx((LIP_PX - 1) / 2)
    assert nose[0] == pytest.approx((LIP_PX - 1) / 2)
    moved = transform_points(lip_crops(anchors), landmarks)
    assert moved[48:68, 1].min() > EDITED_FROM * LIP_PX
    assert (moved[48:68] > 0).all()
    assert (moved[48:68] < LIP_PX).all()
    assert moved[8, 1] < LIP_PX


@pytest.mark.parametrize("move", [(0.1, 0, 3, -7), (3.7, 33, 1500, 200), (1, -120, 0, 0)])
def test_lip_crops_move_with_the_face(move: tuple[float, float, float, float]) -> None:
    anchors = lip_anchors(frontal_landmarks(50, 8) + np.random.default_rng(0).normal(0, 2, (68, 2)))
    motion = similarity(*move)
    expected = compose_affine(lip_crops(anchors), invert_affine(motion))
    crops = lip_crops(transform_points(motion, anchors))
    np.testing.assert_allclose(crops, expected, rtol=1e-9, atol=1e-9)


def test_lip_crops_take_any_leading_axes() -> None:
    anchors = lip_anchors(np.stack([frontal_landmarks(40 + n, n) for n in range(6)]))
    crops = lip_crops(anchors.reshape(2, 3, 3, 2))
    assert crops.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(crops[1, 2], lip_crops(anchors[5]))


def test_a_turned_head_keeps_its_size_by_the_nose() -> None:
    profile = lip_anchors(frontal_landmarks(60))
    profile[:2] *= (0.4, 1)
    frontal = lip_crops(lip_anchors(frontal_landmarks(60)))
    np.testing.assert_allclose(lip_crops(profile)[:, :2], frontal[:, :2], rtol=0.04, atol=1e-9)


def test_pads_are_pixels_of_a_face_200_px_high() -> None:
    anchors = lip_anchors(frontal_landmarks(60))
    bare, padded = lip_crops(anchors, Pads(bottom=0)), lip_crops(anchors, Pads(10, 40, 20, 30))
    corners = np.array([(0, 0), (LIP_PX, LIP_PX)]) - 0.5
    low, high = transform_points(invert_affine(bare), corners)
    px = (high[1] - low[1]) / 200
    wide = transform_points(invert_affine(padded), corners)
    np.testing.assert_allclose(wide, [low - (20 * px, 10 * px), np.add(high, (30 * px, 40 * px))])


def test_smooth_anchors_keep_a_parabola_and_do_not_look_across_a_cut() -> None:
    time = np.arange(24.0)[:, None, None]
    landmarks = frontal_landmarks(60) + 100 + 0.05 * time**2
    landmarks[12:] += 300
    track = make_track(landmarks, shot_id=[0] * 12 + [1] * 12)
    np.testing.assert_allclose(smooth_anchors(track), lip_anchors(landmarks), atol=1e-3)


def test_the_stabiliser_crop_of_a_still_head_is_the_extent_of_the_ffhq_crop() -> None:
    landmarks = np.repeat(frontal_landmarks(60, 10)[None] + (400, 300), 40, axis=0)
    crops = stabiliser_crops(make_track(landmarks), 25)
    quad = ffhq_quad(landmarks[0])
    side = np.ptp(quad, axis=0).max()
    middle = (quad.min(axis=0) + quad.max(axis=0)) / 2
    np.testing.assert_allclose(crops[:, 0, 0], STABILISER_PX / side, rtol=1e-5)
    np.testing.assert_allclose(crops[:, [0, 1], [1, 0]], 0)
    centres = transform_points(crops, np.repeat(middle[None, None], 40, axis=0))
    np.testing.assert_allclose(centres, (STABILISER_PX - 1) / 2, atol=1e-2)


def test_the_stabiliser_crop_follows_a_head_without_its_tremble() -> None:
    rng = np.random.default_rng(0)
    walk = np.linspace(0, 300, 100)[:, None, None] * (1, 0) + rng.normal(0, 2, (100, 1, 2))
    crops = stabiliser_crops(make_track(frontal_landmarks(60) + 200 + walk), 25)
    left = invert_affine(crops)[:, 0, 2]
    assert left[80] - left[20] == pytest.approx(300 * 60 / 99, abs=4)
    assert np.diff(left[20:80]).std() < 0.1 * np.diff(walk[:, 0, 0]).std()


@pytest.mark.parametrize("detected", [[False, True, False], [False] * 3, [True] * 3])
def test_frames_without_a_face_make_no_crop_infinite(detected: list[bool]) -> None:
    track = make_track(np.repeat(frontal_landmarks()[None] + 200, 3, axis=0), detected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(stabiliser_crops(track, 25)).all()
        assert np.isfinite(lip_crops(smooth_anchors(track))).all()


@pytest.mark.parametrize("scale", [4.0, 1.0, 0.71, 0.5, 0.37, 0.11])
@pytest.mark.parametrize("turn_deg", [0, 17])
def test_warp_reproduces_a_ramp(scale: float, turn_deg: float) -> None:
    image = ramp(403, 301, 0.5, -0.25)
    matrix = similarity(scale, turn_deg, 0.3, -0.6)
    matrix[:, 2] += (30, 30) - matrix[:, :2] @ (200, 150)
    warped = warp(image, matrix, (60, 60))
    x, y = np.moveaxis(
        transform_points(invert_affine(matrix), np.mgrid[:60, :60][::-1].reshape(2, -1).T), -1, 0
    )
    inside = (x > 12) & (x < 390) & (y > 12) & (y < 288)
    assert inside.sum() > 500
    error = np.abs(warped.ravel() - (0.5 * x - 0.25 * y))[inside]
    # OpenCV rounds positions to 1/32 px of the picture that it reads.
    assert error.max() < 0.75 / 64 * max(1, 1 / scale) + 1e-3


@pytest.mark.parametrize("width", [300, 301, 307])
def test_shrinking_averages_instead_of_skipping(width: int) -> None:
    stripes = np.zeros((width, width), np.float32)
    stripes[:, ::2] = 200
    small = warp(stripes, similarity(0.1, 0, 0, 0), (20, 20))
    np.testing.assert_allclose(small[2:-2, 2:-2], 100, atol=12)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("scale", [1.5, 0.2])
def test_warp_keeps_type_and_channels(shape: tuple[int, ...], dtype: type, scale: float) -> None:
    warped = warp(np.full(shape, 7, dtype), similarity(scale, 0, 0, 0), (9, 5))
    assert warped.dtype == dtype
    assert warped.shape == (5, 9, *shape[2:])
    assert warped[2, 3].max() == 7


def test_what_lies_beyond_the_picture_is_zero_or_the_edge() -> None:
    image = np.full((10, 10, 3), 90, np.uint8)
    matrix = similarity(1, 0, 20, 0)
    assert warp(image, matrix, (10, 10)).max() == 0
    assert warp(image, matrix, (10, 10), cv2.BORDER_REPLICATE).min() == 90
    assert cut(image, matrix, 10).min() == 90


def test_cut_of_whole_pixels_is_a_slice() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(image, similarity(1, 0, -13, -21), 32), image[21:53, 13:45])


@pytest.mark.parametrize("scale", [2.3, 1.0, 0.45, 0.2])
def test_cut_does_not_depend_on_what_is_far_away(scale: float) -> None:
    image = np.repeat(ramp(400, 300, 0.4, 0.2)[..., None], 3, axis=2).astype(np.uint8)
    matrix = similarity(scale, 5, 0, 0)
    matrix[:, 2] = (15.5, 15.5) - matrix[:, :2] @ (190, 140)
    crop = cut(image, matrix, 32).astype(float)
    points = transform_points(invert_affine(matrix), np.mgrid[:32, :32][::-1].reshape(2, -1).T)
    expected = (points @ (0.4, 0.2)).reshape(32, 32)
    inside = expected > 8
    # The ramp itself is cut to whole levels, half a level low on average,
    # and interpolation rounds to whole levels once more.
    assert np.abs(crop[..., 0] + 0.5 - expected)[inside].max() < 1.25


@pytest.mark.parametrize(
    ("x_px", "y_px", "scale"),
    [(0, 0, 1), (-500, -500, 1), (5000, 20, 2), (10, -9000, 0.01), (63.5, 47.5, 50), (0, 0, 1e-3)],
)
@pytest.mark.parametrize("size", [(64, 48), (1, 1), (3840, 2160)])
def test_crop_bounds_are_never_empty_nor_beyond_the_picture(
    x_px: float, y_px: float, scale: float, size: tuple[int, int]
) -> None:
    x1, y1, x2, y2 = crop_bounds(similarity(scale, 30, x_px, y_px), 384, *size)
    assert 0 <= x1 < x2 <= size[0]
    assert 0 <= y1 < y2 <= size[1]


def test_crop_bounds_hold_every_pixel_that_a_crop_reads() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = similarity(rng.uniform(0.1, 5), rng.uniform(-180, 180), *rng.uniform(-200, 200, 2))
        matrix[:, 2] += 40 - matrix[:, :2] @ (5000, 5000)
        x1, y1, x2, y2 = crop_bounds(matrix, 80, 10_000, 10_000)
        edge = np.array([(-0.5, -0.5), (79.5, -0.5), (-0.5, 79.5), (79.5, 79.5)])
        read = transform_points(invert_affine(matrix), edge)
        assert (read > (x1, y1)).all()
        assert (read < (x2 - 1, y2 - 1)).all()
        assert (x2 - x1) * (y2 - y1) < 4 * (np.ptp(read, axis=0).max() + 8) ** 2


def test_shift_source_is_the_transform_of_a_part() -> None:
    matrix = similarity(1.7, 21, 3, 4)
    part = shift_source(matrix, 11, 7)
    points = np.array([(0.0, 0.0), (5.5, -3.25)])
    np.testing.assert_allclose(
        transform_points(part, points), transform_points(matrix, points + np.array([11, 7]))
    )


def test_enlarged_crops_show_the_same_part() -> None:
    small = np.array([[[0.5, 0.1, 3.0], [-0.1, 0.5, 8.0]]])
    large = enlarge_crops(small, 2)
    corners = np.array([(-0.5, -0.5), (255.5, 255.5)])
    in_picture = transform_points(invert_affine(small[0]), corners)
    np.testing.assert_allclose(
        transform_points(large[0], in_picture), [(-0.5, -0.5), (511.5, 511.5)]
    )
