from __future__ import annotations

import numpy as np
import pytest

from retalking.coefficients.recon import CROP_PX, POINTS_3D, crop_for_recon, fit_recon_crop
from retalking.face.affine import (
    FFHQ_POINTS_512,
    GPEN_POINTS_512,
    compose_affine,
    fit_similarity,
    invert_affine,
    transform_points,
)
from retalking.face.ffhq import ffhq_quad
from tests.rounding import DOUBLE


def similarity(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


def face_with(
    eye_left: tuple, eye_right: tuple, nose: tuple, left: tuple, right: tuple
) -> np.ndarray:
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[30] = eye_left, eye_right, nose
    points[48], points[54] = left, right
    return points


def test_a_known_similarity_is_recovered_in_batches() -> None:
    matrices = np.stack([similarity(2.5, 0.3, -40, 7), similarity(0.2, -2.0, 1e3, 5)])
    fitted = fit_similarity(FFHQ_POINTS_512, transform_points(matrices, FFHQ_POINTS_512[None]))
    np.testing.assert_allclose(fitted, matrices, atol=1e-9)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    fitted = fit_similarity(FFHQ_POINTS_512 * (-1, 1), FFHQ_POINTS_512)
    assert np.linalg.det(fitted[:, :2]) >= 0


def test_noisy_points_are_fitted_by_least_squares() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    x, y = source.T
    one, zero = np.ones(5), np.zeros(5)
    system = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    c, s, tx, ty = np.linalg.lstsq(system, np.concatenate(target.T), rcond=None)[0]
    np.testing.assert_allclose(
        fit_similarity(source, target), [[c, -s, tx], [s, c, ty]], atol=DOUBLE
    )


def test_coinciding_points_are_refused() -> None:
    with pytest.raises(ValueError, match="all source points coincide"):
        fit_similarity(np.ones((5, 2)), FFHQ_POINTS_512)


def test_inverse_and_composition_undo_each_other() -> None:
    matrices = np.stack([similarity(2.5, 0.3, -40, 7), similarity(0.2, -2.0, 1e3, 5)])
    identity = np.broadcast_to(np.eye(2, 3), (2, 2, 3))
    np.testing.assert_allclose(
        compose_affine(invert_affine(matrices), matrices), identity, atol=1e-9
    )
    points = np.random.default_rng(0).normal(size=(2, 4, 2))
    np.testing.assert_allclose(
        transform_points(compose_affine(matrices[::-1], matrices), points),
        transform_points(matrices[::-1], transform_points(matrices, points)),
    )


def test_templates_lie_in_their_picture_in_the_order_of_five_points() -> None:
    for template in (FFHQ_POINTS_512, GPEN_POINTS_512):
        left_eye, right_eye, nose, left_mouth, right_mouth = template
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert left_eye[1] < nose[1] < left_mouth[1] < 512


def test_quad_of_an_upright_symmetric_face() -> None:
    """Eyes 40 apart, 30 above the mouth: the half side is 2 x 40, the centre 3 below the eyes."""
    face = face_with((80, 100), (120, 100), (100, 115), (85, 130), (115, 130))
    x, y = 100, 103
    expected = [(x - 80, y - 80), (x - 80, y + 80), (x + 80, y + 80), (x + 80, y - 80)]
    np.testing.assert_allclose(ffhq_quad(face), expected)


def test_a_long_face_sets_the_size_by_its_length() -> None:
    face = face_with((90, 100), (110, 100), (100, 115), (95, 150), (105, 150))
    assert np.ptp(ffhq_quad(face)[:, 0]) == pytest.approx(2 * 1.8 * 50)


def test_quad_follows_the_face() -> None:
    face = face_with((80, 100), (120, 100), (100, 115), (85, 130), (115, 130))
    matrix = similarity(1.7, 0.4, 20, -30)
    moved = ffhq_quad(np.stack([face, transform_points(matrix, face)]))
    np.testing.assert_allclose(moved[1], transform_points(matrix, moved[0]), atol=1e-9)


def projected_face(size_px: float, x: float, y_up: float, height_px: int) -> np.ndarray:
    """The network's 3-D points seen from the front."""
    points = POINTS_3D[:, :2] * size_px + (x, y_up)
    points[:, 1] = height_px - 1 - points[:, 1]
    return face_with(*points)


def test_recon_crop_of_a_frontal_face_is_recovered() -> None:
    faces = np.stack([projected_face(102, 130, 140, 256), projected_face(51, 99, 88, 256)])
    crops = fit_recon_crop(faces, 256)
    # A frontal view has no depth: the camera's rows are unit vectors times the size.
    np.testing.assert_allclose(crops, [(1, 130, 140), (2, 99, 88)], rtol=1e-5)


def test_recon_crop_at_scale_1_is_a_slice() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    crop = crop_for_recon(image, np.array([1.0, 130 + 4, 150 - 6]))
    np.testing.assert_array_equal(crop, image[44:268, 22:246])


def test_recon_crop_beyond_the_image_is_black() -> None:
    image = np.full((256, 256, 3), 90, np.uint8)
    crop = crop_for_recon(image, np.array([1.0, 0, 256]))  # centred on the upper left corner
    assert crop.shape == (CROP_PX, CROP_PX, 3)
    assert np.all(crop[112:, 112:] == 90)
    assert np.all(crop[:112] == 0)
    assert np.all(crop[:, :112] == 0)
    assert np.all(crop_for_recon(image, np.array([1.0, 2000, 2000])) == 0)
    assert np.all(crop_for_recon(image, np.array([1.0, -2000, -2000])) == 0)


def test_recon_crop_scales_the_image() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 200
    crop = crop_for_recon(image, np.array([7.0, 32, 32]))
    assert np.all(crop[:, :100] <= 1)
    np.testing.assert_allclose(crop[:, 124:], 200, atol=1)
