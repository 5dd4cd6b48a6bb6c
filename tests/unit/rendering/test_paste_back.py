"""Paste-back: the face where its mask is, not a bit elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from retalking.face.affine import compose_affine, fit_similarity, invert_affine, transform_points
from retalking.face.crops import LIP_PX, cut, lip_anchors, lip_crops, warp
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.masks import edited_band, inner_square, lower_face_mask
from retalking.rendering.paste_back import Layer, composite, paste
from tests.faces import frontal_landmarks
from tests.media import moving_picture


def layer_of(
    frame: np.ndarray, eye_distance_px: float, center: tuple[float, float], whole: bool = False
) -> Layer:
    """The frame's own content as the face, under the mask of its landmarks."""
    landmarks = frontal_landmarks(eye_distance_px, 7) + center
    to_crop = lip_crops(lip_anchors(landmarks))
    mask = lower_face_mask(transform_points(to_crop, landmarks), whole)
    return Layer(cut(frame, to_crop, LIP_PX), mask, to_crop)


def mask_in_frame(layer: Layer, frame: np.ndarray) -> np.ndarray:
    return warp(layer.mask, invert_affine(layer.to_crop), (frame.shape[1], frame.shape[0]))


def bands(layer: Layer) -> int:
    return choose_num_levels(LIP_PX / float(np.linalg.norm(layer.to_crop[1, :2])))


PLACES = [
    pytest.param(60.0, (160.0, 100.0), (320, 240), id="usual"),
    pytest.param(61.3, (5.0, 180.0), (321, 241), id="border-odd-size"),
    pytest.param(7.0, (40.2, 30.7), (97, 75), id="20-px-face"),
    pytest.param(150.0, (60.0, -50.0), (123, 117), id="larger-than-the-frame"),
    pytest.param(230.0, (1900.0, 30.0), (3840, 540), id="large"),
    pytest.param(60.0, (-900.0, 100.0), (64, 48), id="outside"),
    pytest.param(60.0, (0.0, 0.0), (1, 1), id="one-pixel"),
]


@pytest.mark.parametrize(("eyes_px", "center", "size"), PLACES)
@pytest.mark.parametrize("whole", [False, True])
def test_a_face_equal_to_the_frame_changes_nothing(
    eyes_px: float, center: tuple[float, float], size: tuple[int, int], whole: bool
) -> None:
    y, x = np.mgrid[: size[1], : size[0]]
    smooth = 128 + 90 * np.sin((x + 0.5 * y) / (1.5 * eyes_px))
    frame = np.repeat(smooth[..., None], 3, axis=2).round().astype(np.uint8)
    layer = layer_of(frame, eyes_px, center, whole)
    output = frame.copy()
    composite(output, layer, bands(layer))
    assert np.abs(output.astype(int) - frame).max() <= 1


@pytest.mark.parametrize(("eyes_px", "center", "size"), PLACES)
def test_pixels_outside_the_mask_stay_bit_identical(
    eyes_px: float, center: tuple[float, float], size: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    layer = layer_of(frame, eyes_px, center)
    noise = np.random.default_rng(1).integers(0, 256, layer.rgb.shape, dtype=np.uint8)
    layer = Layer(noise, layer.mask, layer.to_crop)
    # Resampled separately for the whole frame, the mask may end a pixel earlier or later.
    mask = mask_in_frame(layer, frame)
    untouched = cv2.dilate(mask, np.ones((5, 5))) == 0
    output, pasted = frame.copy(), paste(frame, layer)
    composite(output, layer, bands(layer))
    np.testing.assert_array_equal(output[untouched], frame[untouched])
    np.testing.assert_array_equal(pasted[untouched], frame[untouched])
    if (mask > 0.5).any():
        assert (output[mask > 0.5] != frame[mask > 0.5]).mean() > 0.5


def test_opacity_is_linear_from_the_frame_to_the_face() -> None:
    frame = moving_picture(0, 320, 240)
    layer = layer_of(frame, 60, (160, 100))
    other = Layer(np.roll(layer.rgb, 40, axis=1)[::-1].copy(), layer.mask, layer.to_crop)
    full = frame.copy()
    composite(full, other, 4)
    change = full.astype(int) - frame
    assert np.abs(change).max() > 50
    for opacity in (0.0, 0.05, 0.2, 0.5, 0.8, 1.0):
        output = frame.copy()
        composite(output, other, 4, opacity=opacity)
        np.testing.assert_allclose(output, frame + opacity * change, atol=1)


def test_a_mask_of_zeros_leaves_the_frame_alone() -> None:
    frame = moving_picture(0, 64, 64)
    layer = layer_of(frame, 20, (32, 20))
    output = frame.copy()
    composite(output, Layer(255 - layer.rgb, 0 * layer.mask, layer.to_crop), 3)
    np.testing.assert_array_equal(output, frame)


def test_overlays_show_only_where_the_face_does() -> None:
    frame = np.full((240, 320, 3), 120, np.uint8)
    layer = layer_of(frame, 60, (160, 100))
    white = np.full((512, 512, 3), 255, np.uint8)
    square = np.array([(0, 0), (511, 0), (511, 511), (0, 511)])
    corners = transform_points(invert_affine(layer.to_crop), square * (LIP_PX - 1) / 511)
    overlay = Layer(white, inner_square(512), fit_similarity(corners, square))
    output = frame.copy()
    composite(output, layer, 4, (overlay,))
    mask = mask_in_frame(layer, frame)
    assert (output[mask > 0.999] > 200).any()
    assert (output[:60] == 120).all()
    bare = frame.copy()
    composite(bare, layer, 4, (Layer(white, 0 * overlay.mask, overlay.to_crop),))
    assert np.abs(bare.astype(int) - 120).max() <= 1


def test_a_foreign_tint_is_taken_off() -> None:
    frame = moving_picture(5, 320, 240)
    layer = layer_of(frame, 60, (160, 100))
    tinted = (0.8 * layer.rgb.astype(float) + (10, 25, 0)).round().astype(np.uint8)
    output = frame.copy()
    composite(output, Layer(tinted, layer.mask, layer.to_crop), 4)
    assert np.abs(output.astype(float) - frame).mean() < 0.5


@pytest.mark.parametrize("eyes_px", [3.0, 7.0, 60.0])
def test_the_rim_of_a_face_is_not_darkened(eyes_px: float) -> None:
    """Beyond a face's border there is nothing; nothing must not be mixed in as black."""
    frame = np.full((160, 160, 3), 200, np.uint8)
    to_crop = lip_crops(lip_anchors(frontal_landmarks(eyes_px, 20) + 70))
    layer = Layer(np.full((LIP_PX, LIP_PX, 3), 200, np.uint8), edited_band(True), to_crop)
    assert paste(frame, layer).min() >= 199
    composite(frame, layer, bands(layer))
    assert frame.min() >= 199
    assert frame.max() <= 201


def test_paste_lays_the_face_over_a_copy() -> None:
    frame = moving_picture(2, 320, 240)
    layer = layer_of(frame, 60, (160, 100))
    flat = Layer(np.full_like(layer.rgb, 33), layer.mask, layer.to_crop)
    before = frame.copy()
    pasted = paste(frame, flat)
    np.testing.assert_array_equal(frame, before)
    share = mask_in_frame(flat, frame)[..., None]
    # OpenCV rounds positions to 1/32 px, differently for the region and for the whole frame.
    assert np.abs(pasted - (frame + share * (33.0 - frame))).max() < 4
    assert (pasted[share[..., 0] > 0.999] == 33).all()


def test_crop_and_paste_return_every_pixel_to_its_place() -> None:
    """A spot stays where it is to a small part of a pixel: no shift between cut and paste."""
    y, x = np.mgrid[:200, :220]
    spot = 40 + 180 * np.exp(-((x - 101.3) ** 2 + (y - 118.7) ** 2) / 50)
    frame = np.repeat(spot[..., None], 3, axis=2).round().astype(np.uint8)
    to_crop = lip_crops(lip_anchors(frontal_landmarks(50, -9) + np.array([100, 80])))
    layer = Layer(cut(frame, to_crop, LIP_PX), edited_band(True), to_crop)
    background = np.full_like(frame, 40)
    weight = paste(background, layer)[..., 0].astype(float) - 40
    assert (weight * x).sum() / weight.sum() == pytest.approx(101.3, abs=0.05)
    assert (weight * y).sum() / weight.sum() == pytest.approx(118.7, abs=0.05)
    assert np.allclose(compose_affine(to_crop, invert_affine(to_crop))[:, 2], 0)


@pytest.mark.parametrize("origin", [(20, 10), (-15, 5), (70, 50), (-35, -35), (300, 0)])
def test_a_layer_in_the_frames_own_pixels_is_not_resampled(origin: tuple[int, int]) -> None:
    """It is moved: the same pixels as by resampling, which a shift of next to nothing asks for."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    picture = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    mask = np.zeros((50, 50), np.float32)
    mask[5:-5, 5:-5] = rng.random((40, 40), np.float32)
    made = []
    for nothing in (0.0, 1e-9):
        matrix = np.array([[1.0, 0, nothing - origin[0]], [0, 1.0, -origin[1]]])
        made.append(frame.copy())
        composite(made[-1], Layer(picture, mask, matrix), 3)
    np.testing.assert_array_equal(*made)
    assert (made[0] != frame).any() == (origin[0] < 120)
