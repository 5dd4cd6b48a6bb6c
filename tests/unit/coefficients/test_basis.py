"""Coefficients from 3-D landmarks: pose, identity, expression, templates."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.spatial.transform import Rotation

from retalking.coefficients.basis import (
    EXPRESSION_BASIS_PATH,
    ExpressionBasis,
    estimate_coefficients,
    estimate_identity,
    fit_pose,
    lip_gap,
    move_points,
)
from retalking.errors import WeightsError
from retalking.types import FaceTrack


@pytest.fixture(scope="module")
def basis():
    return ExpressionBasis.from_file()


def track_of(detected, shot_id=None):
    frames = len(detected)
    return FaceTrack(
        np.zeros((frames, 4), np.float32),
        np.zeros((frames, 68, 2), np.float32),
        np.ones(frames, np.float32),
        np.asarray(detected, np.bool_),
        np.zeros(frames, np.int64) if shot_id is None else np.asarray(shot_id, np.int64),
    )


def pose_shapes(shapes, angles_rad=(0, 0, 0), scale_px=48.0, center_px=(128, 110, 0)):
    """Turn by pitch, yaw, roll as ``HeadPose.angles_rad`` names them, then scale and move."""
    pitch, yaw, roll = angles_rad
    rotation = Rotation.from_euler("xyz", (pitch, -yaw, roll)).as_matrix()
    return shapes @ rotation.T * scale_px + np.array(center_px)


def mouth_width(shape):
    return shape[54, 0] - shape[48, 0]


def test_templates_are_a_closed_mouth_and_a_smile(basis):
    neutral = basis.decode(basis.templates["neutral"])
    smile = basis.decode(basis.templates["smile"])
    height = neutral[8, 1] - neutral[27, 1]
    assert lip_gap(neutral) < 0.01 * height
    assert mouth_width(smile) > 1.1 * mouth_width(neutral)
    corners, middle = [48, 54], [51, 57]
    lift = (smile[middle, 1].mean() - smile[corners, 1].mean()) - (
        neutral[middle, 1].mean() - neutral[corners, 1].mean()
    )
    assert lift > 0.02
    assert np.abs(basis.templates["neutral"]).max() < 0.5


def test_templates_are_symmetric(basis):
    for template in basis.templates.values():
        shape = basis.decode(template)
        np.testing.assert_allclose(shape[48, 0], -shape[54, 0], atol=0.01)
        np.testing.assert_allclose(shape[48, 1], shape[54, 1], atol=0.01)


def test_moved_points_show_the_new_expression_in_the_old_pose(basis):
    before, after = np.zeros((1, 64)), np.zeros((1, 64))
    after[0, :3] = 1, -0.5, 2
    pose = {"angles_rad": (0.2, -0.3, 0.1), "scale_px": 40}
    shown = pose_shapes(basis.decode(before[0]), **pose)[None]
    expected = pose_shapes(basis.decode(after[0]), **pose)[None]
    np.testing.assert_allclose(move_points(shown, before, after, basis), expected, atol=1e-3)


def test_components_are_orthogonal_and_sorted(basis):
    flat = basis.expressions.reshape(len(basis.expressions), -1).astype(np.float64)
    gram = flat @ flat.T
    power = np.diag(gram)
    assert (np.diff(power) <= 1e-9).all()
    np.testing.assert_allclose(gram - np.diag(power), 0, atol=1e-5 * power[0])


def test_encode_inverts_decode(basis):
    rng = np.random.default_rng(0)
    expression = np.zeros((5, 64), np.float32)
    expression[:, : len(basis.expressions)] = rng.normal(size=(5, len(basis.expressions)))
    encoded = basis.encode(basis.decode(expression) - basis.mean_shape)
    np.testing.assert_allclose(encoded, expression, atol=1e-3)


def test_opening_the_mouth_moves_few_components(basis):
    opened = basis.encode((0.3 * basis.opening)[None].astype(np.float64))[0]
    share = np.sort(opened**2)[::-1]
    assert share[:3].sum() > 0.8 * share.sum()
    assert np.abs(opened[0]) > 1


@pytest.mark.parametrize("angles_rad", [(0.3, 0, 0), (0, 0.4, 0), (0, 0, -0.5), (0.2, -0.35, 0.25)])
def test_pose_is_recovered(basis, angles_rad):
    points = pose_shapes(basis.mean_shape[None], angles_rad, 51.0, (120, 99, 7))
    pose = fit_pose(points, basis.mean_shape)
    np.testing.assert_allclose(pose.angles_rad[0], angles_rad, atol=1e-4)
    np.testing.assert_allclose(pose.scale_px, 51, rtol=1e-5)
    np.testing.assert_allclose(pose.center_px[0], (120, 99, 7), atol=1e-3)
    np.testing.assert_allclose(pose.normalise(points)[0], basis.mean_shape, atol=1e-5)
    np.testing.assert_allclose(
        pose.rotation @ pose.rotation.transpose(0, 2, 1), np.eye(3)[None], atol=1e-6
    )


def test_signs_of_the_angles(basis):
    """Down, to the picture's right and clockwise are positive, seen by where the nose goes."""
    face = basis.mean_shape[None]
    rest = face[0, 30] - face[0, 27]
    down = pose_shapes(face, (0.3, 0, 0), 1, (0, 0, 0))[0]
    right = pose_shapes(face, (0, 0.3, 0), 1, (0, 0, 0))[0]
    turned = pose_shapes(face, (0, 0, 0.3), 1, (0, 0, 0))[0]
    assert (down[30] - down[27])[1] > rest[1]
    assert (right[30] - right[27])[0] > 0.1
    assert (turned[30] - turned[27])[0] < -0.1  # the chin swings to the left, the top to the right


def test_mouth_does_not_move_the_pose(basis):
    shapes = np.stack([basis.mean_shape, basis.mean_shape + 0.5 * basis.opening])
    shapes[1, 27:48] = shapes[0, 27:48]
    shapes[1, [0, 1, 15, 16]] = shapes[0, [0, 1, 15, 16]]
    angles = fit_pose(pose_shapes(shapes), basis.mean_shape).angles_rad
    np.testing.assert_allclose(angles[0], angles[1], atol=1e-6)


def test_people_with_closed_mouths_get_the_same_expression(basis):
    rng = np.random.default_rng(1)
    wave = np.maximum(np.sin(np.arange(120) / 3), 0)[:, None, None] * 0.25
    closed = wave[:, 0, 0] == 0
    first = []
    for _ in range(4):
        person = np.tensordot(rng.normal(size=len(basis.identities)), basis.identities, axes=1)
        points = pose_shapes(basis.mean_shape + person + wave * basis.opening, (0.1, 0.1, 0))
        fitted = estimate_coefficients(points, track_of([True] * 120), basis)
        first.append(fitted.expression[closed, 0].mean())
        span = fitted.expression[:, 0].max() - fitted.expression[:, 0].min()
        assert span > 1  # against 0.4 among the closed ones; 1.53 was seen
    assert np.ptp(first) < 0.4
    assert np.abs(first).max() < 0.5


def test_identity_of_one_frame_is_more_cautious_than_of_many(basis):
    smile = (basis.decode(basis.templates["smile"]) - basis.mean_shape)[None]
    one = estimate_identity(basis.mean_shape + smile, basis)
    many = estimate_identity(np.repeat(basis.mean_shape + smile, 500, axis=0), basis)
    assert np.linalg.norm(one) < 0.8 * np.linalg.norm(many)


def test_missing_frames_are_zero_and_shots_are_apart(basis):
    rng = np.random.default_rng(2)
    persons = np.tensordot(rng.normal(size=(2, len(basis.identities))), basis.identities, axes=1)
    shapes = np.concatenate([np.repeat(persons[:1], 30, 0), np.repeat(persons[1:], 30, 0)])
    points = pose_shapes(basis.mean_shape + shapes)
    detected = np.ones(60, bool)
    detected[[5, 40]] = False
    points[~detected] = 0
    shots = [0] * 30 + [1] * 30
    fitted = estimate_coefficients(points, track_of(detected, shots), basis)
    for values in (fitted.expression, fitted.angle, fitted.translation, fitted.crop):
        assert not values[~detected].any()
        assert np.isfinite(values).all()
    alone = estimate_coefficients(points[30:], track_of(detected[30:]), basis)
    np.testing.assert_allclose(fitted.expression[30:], alone.expression, atol=1e-5)
    assert not fitted.expression[:, len(basis.expressions) :].any()


def test_no_face_at_all_is_all_zero(basis):
    fitted = estimate_coefficients(np.zeros((3, 68, 3)), track_of([False] * 3), basis)
    assert len(fitted) == 3
    assert not fitted.expression.any()


def test_crop_and_translation_follow_the_face(basis):
    centre = pose_shapes(basis.mean_shape[None], center_px=(128, 128, 0))
    aside = pose_shapes(basis.mean_shape[None], center_px=(140, 118, 0), scale_px=24.0)
    fitted = estimate_coefficients(np.concatenate([centre, aside]), track_of([True, True]), basis)
    np.testing.assert_allclose(fitted.crop[1, 0] / fitted.crop[0, 0], 2, rtol=1e-3)
    assert fitted.crop[1, 1] - fitted.crop[0, 1] == pytest.approx(12, abs=0.3)
    assert fitted.crop[1, 2] > fitted.crop[0, 2]  # y counts upwards there
    np.testing.assert_allclose(fitted.translation[0], fitted.translation[1], atol=1e-3)
    assert fitted.translation[0, 2] == pytest.approx(0, abs=1e-3)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        ExpressionBasis.from_file(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="not a readable safetensors"):
        ExpressionBasis.from_file(broken)
    arrays = load_file(EXPRESSION_BASIS_PATH)
    del arrays["template.smile"]
    save_file(arrays, broken)
    with pytest.raises(WeightsError, match=r"template\.smile is None"):
        ExpressionBasis.from_file(broken)
    arrays = load_file(EXPRESSION_BASIS_PATH)
    arrays["expressions"] = np.zeros((65, 68, 3), np.float32)
    save_file(arrays, broken)
    with pytest.raises(WeightsError, match="got 65 expressions"):
        ExpressionBasis.from_file(broken)


def test_save_and_load(basis, tmp_path):
    basis.save(tmp_path / "basis.safetensors")
    again = ExpressionBasis.from_file(tmp_path / "basis.safetensors")
    np.testing.assert_array_equal(again.expressions, basis.expressions)
    np.testing.assert_array_equal(again.templates["smile"], basis.templates["smile"])
