from __future__ import annotations

import numpy as np
import pytest

from retalking.rendering.blending import (
    blend_region,
    border_ring,
    choose_num_levels,
    laplacian_blend,
    match_color,
)


def picture(seed: int, height: int = 64, width: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(radius: float, slope_px: float, height: int = 64, width: int = 80) -> np.ndarray:
    """1 within ``radius`` of the centre, falling to 0 over ``slope_px``."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    return np.clip((radius - distance) / slope_px + 1, 0, 1).astype(np.float32)


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (1, 9)])
@pytest.mark.parametrize("levels", [1, 3, 6])
def test_blending_a_picture_with_itself_gives_it_back(size: tuple[int, int], levels: int) -> None:
    image = picture(0, *size)
    mask = np.random.default_rng(1).random(size, dtype=np.float32)
    np.testing.assert_allclose(laplacian_blend(image, image, mask, levels), image, atol=1e-3)


def test_a_full_or_empty_mask_gives_one_picture() -> None:
    first, second = picture(0), picture(1)
    ones = np.ones((64, 80), np.float32)
    np.testing.assert_allclose(laplacian_blend(first, second, ones, 5), first, atol=1e-3)
    np.testing.assert_allclose(laplacian_blend(first, second, 0 * ones, 5), second, atol=1e-3)


def test_one_level_is_a_plain_mix() -> None:
    first, second, mask = picture(0), picture(1), disc(10, 10)
    mixed = mask[..., None] * first + (1 - mask[..., None]) * second
    np.testing.assert_allclose(laplacian_blend(first, second, mask, 1), mixed, atol=1e-3)


def test_blending_is_linear_in_constants() -> None:
    """Constant pictures have no detail, so the result follows the low-passed mask."""
    first, second = np.full((64, 64, 3), 200, np.uint8), np.full((64, 64, 3), 100, np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    blended = laplacian_blend(first, second, mask, 5)
    assert blended.min() >= 100 - 1e-3
    assert blended.max() <= 200 + 1e-3
    row = blended[32, :, 0]
    assert np.all(np.diff(row) >= -1e-3)
    assert 0 < np.diff(row).max() < 25  # a hard mask would jump by 100


def test_pixels_outside_the_mask_are_untouched() -> None:
    region, patch, mask = picture(0), picture(1), disc(16, 8)
    blended = blend_region(region, patch, mask)
    np.testing.assert_array_equal(blended[mask == 0], region[mask == 0])
    assert blended.dtype == np.uint8
    assert np.abs(blended[mask == 1].astype(int) - region[mask == 1]).mean() > 20


def test_what_the_patch_holds_outside_the_mask_does_not_matter() -> None:
    region, patch, mask = picture(0), picture(1), disc(16, 8)
    black = np.where(mask[..., None] > 0, patch, 0).astype(np.uint8)
    np.testing.assert_array_equal(
        blend_region(region, patch, mask), blend_region(region, black, mask)
    )


def test_a_region_pasted_onto_itself_stays_bit_identical() -> None:
    region = picture(0)
    np.testing.assert_array_equal(blend_region(region, region, disc(16, 8)), region)


def test_an_empty_mask_returns_a_copy() -> None:
    region = picture(0)
    blended = blend_region(region, picture(1), np.zeros((64, 80), np.float32))
    np.testing.assert_array_equal(blended, region)
    assert not np.shares_memory(blended, region)


def test_a_full_mask_returns_the_patch_rounded() -> None:
    patch = np.full((64, 80, 3), 99.6, np.float32)
    patch[:32] = 300.0
    blended = blend_region(picture(0), patch, np.ones((64, 80), np.float32), num_levels=1)
    assert np.all(blended[:32] == 255)
    assert np.all(blended[32:] == 100)


def test_a_brighter_patch_fades_in_without_a_step() -> None:
    region = np.full((128, 128, 3), 100, np.uint8)
    patch = np.full((128, 128, 3), 140, np.uint8)
    blended = blend_region(region, patch, disc(30, 20, 128, 128), 4).astype(int)
    assert np.abs(np.diff(blended[64, :, 0])).max() <= 6
    assert blended[64, 64, 0] > 130


@pytest.mark.parametrize(
    ("face_px", "levels"), [(0, 1), (7, 1), (16, 2), (255, 5), (256, 6), (512, 7)]
)
def test_bands_grow_with_the_face(face_px: float, levels: int) -> None:
    assert choose_num_levels(face_px) == levels


def test_the_ring_lies_inside_the_mask_along_its_edge() -> None:
    mask = np.zeros((20, 20), np.float32)
    mask[5:15, 5:15] = 0.5
    ring = border_ring(mask, 2)
    expected = mask > 0
    expected[7:13, 7:13] = False
    np.testing.assert_array_equal(ring, expected)


def test_the_border_of_the_picture_is_no_edge() -> None:
    assert not border_ring(np.ones((20, 20), np.float32), 3).any()


def test_a_gain_and_an_offset_are_undone() -> None:
    region = np.random.default_rng(0).integers(60, 180, (40, 40, 3), dtype=np.uint8)
    patch = (region * [0.8, 1.0, 1.25] + [30, -20, 5]).astype(np.float32)
    ring = border_ring(np.pad(np.ones((30, 30), np.float32), 5), 4)
    np.testing.assert_allclose(match_color(patch, region, ring), region, atol=1e-2)


def test_a_flat_ring_shifts_the_mean_only() -> None:
    region = np.full((20, 20, 3), 120, np.uint8)
    patch = np.full((20, 20, 3), 90, np.uint8)
    patch[8:12, 8:12] = 100
    ring = np.ones((20, 20), bool)
    ring[5:15, 5:15] = False
    matched = match_color(patch, region, ring)
    np.testing.assert_allclose(matched[0, 0], 120)
    np.testing.assert_allclose(matched[10, 10], 130)


def test_the_gain_is_limited() -> None:
    region = picture(0)
    patch = (region / 10 + 100).astype(np.float32)
    matched = match_color(patch, region, np.ones((64, 80), bool))
    np.testing.assert_allclose(matched.std(axis=(0, 1)), 1.25 * patch.std(axis=(0, 1)), rtol=1e-3)
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), region.mean(axis=(0, 1)), rtol=1e-3)


def test_a_tiny_ring_changes_nothing() -> None:
    ring = np.zeros((64, 80), bool)
    ring[0, :31] = True
    np.testing.assert_array_equal(match_color(picture(0), picture(1), ring), picture(0))
