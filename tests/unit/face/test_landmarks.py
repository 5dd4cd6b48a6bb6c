"""The landmark network, its crops, and the landmarks that it finds on a real face."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from models import weights
from models.landmarks import LandmarkNet, LandmarkNetConfig, expected_position
from retalking.errors import WeightsError
from retalking.face.landmark_crop import FaceCrop, crop_around_box, crop_around_landmarks, cut_crop
from retalking.face.landmarks import LITE_LANDMARKS_PATH, LiteLandmarker, brow_boxes, face_boxes

ASTRONAUT_BOX = np.array([[178.0, 62.0, 270.0, 179.0]], np.float32)  # hairline to chin, by eye


@pytest.fixture(scope="module")
def landmarker():
    torch.set_num_threads(1)
    return LiteLandmarker.from_file()


def eye_distance(points):
    return np.linalg.norm(points[36, :2] - points[45, :2])


def test_finds_the_face_where_it_is(landmarker):
    points, confidence = landmarker.predict(astronaut(), ASTRONAUT_BOX)
    assert points.shape == (1, 68, 3)
    assert points.dtype == confidence.dtype == np.float32
    assert confidence[0] > 0.9
    # Read off the picture by eye: eye centres, nose tip, mouth corners.
    for index, position in (
        (slice(36, 42), (202, 101)),
        (slice(42, 48), (247, 103)),
        (30, (224, 126)),
        (48, (204, 140)),
        (54, (245, 140)),
        (8, (224, 179)),
    ):
        found = points[0, index, :2].reshape(-1, 2).mean(0)
        assert np.linalg.norm(found - position) < 0.1 * eye_distance(points[0])


def test_depth_has_the_nose_in_front_and_no_mean(landmarker):
    depth = landmarker.predict(astronaut(), ASTRONAUT_BOX)[0][0, :, 2]
    assert abs(depth.mean()) < 1e-3
    assert depth[30] < depth[[36, 45]].min() < depth[[0, 16]].min()


def test_background_is_no_face(landmarker):
    boxes = np.array([[330, 20, 430, 140], [20, 300, 140, 440]], np.float32)
    assert landmarker.predict(astronaut(), boxes)[1].max() < 0.5


@pytest.mark.parametrize("roll_deg", [-35, 35])
def test_follows_a_turned_head(landmarker, roll_deg):
    upright, _ = landmarker.predict(astronaut(), ASTRONAUT_BOX)
    turn = FaceCrop((225.0, 120.0), 320.0, np.deg2rad(roll_deg))
    turned = cut_crop(astronaut(), turn, 320)
    expected = turn.to_crop(upright[0]) * 320
    box = face_boxes(expected[None])
    found, confidence = landmarker.predict(turned, box)
    assert confidence[0] > 0.9
    error = np.linalg.norm(found[0, :, :2] - expected[:, :2], axis=1).mean()
    assert error < 0.03 * eye_distance(expected)


def test_following_settles_where_predicting_does(landmarker):
    points, _ = landmarker.predict(astronaut(), ASTRONAUT_BOX)
    shifted = points + np.float32(0.05) * eye_distance(points[0]) * np.array([1, 1, 0], np.float32)
    followed, _ = landmarker.follow(astronaut(), shifted)
    error = np.linalg.norm(followed[0, :, :2] - points[0, :, :2], axis=1).mean()
    assert error < 0.02 * eye_distance(points[0])


def test_many_pictures_equal_one_by_one(landmarker):
    pictures = np.stack([astronaut(), astronaut()[:, ::-1]])
    boxes = np.concatenate([ASTRONAUT_BOX, ASTRONAUT_BOX])
    boxes[1, [0, 2]] = 511 - ASTRONAUT_BOX[0, [2, 0]]
    together, sure = landmarker.predict(pictures, boxes)
    for row in range(2):
        alone, sure_alone = landmarker.predict(pictures[row], boxes[row : row + 1])
        np.testing.assert_allclose(together[row], alone[0], atol=0.05)
        np.testing.assert_allclose(sure[row], sure_alone[0], atol=1e-3)


def test_no_face_gives_empty_arrays(landmarker):
    points, confidence = landmarker.predict(astronaut(), np.zeros((0, 4), np.float32))
    assert points.shape == (0, 68, 3)
    assert confidence.shape == (0,)


def test_number_of_pictures_must_fit(landmarker):
    with pytest.raises(ValueError, match="got 2 pictures for 1 faces"):
        landmarker.predict(np.stack([astronaut(), astronaut()]), ASTRONAUT_BOX)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match="no_such"):
        LiteLandmarker.from_file(tmp_path / "no_such.safetensors")


def test_committed_weights_are_small():
    assert LITE_LANDMARKS_PATH.stat().st_size < 4e6
    network = weights.load(LITE_LANDMARKS_PATH, LandmarkNet)
    assert sum(p.numel() for p in network.parameters()) < 2e6


def test_network_shapes_and_ranges():
    torch.manual_seed(0)
    network = LandmarkNet(LandmarkNetConfig(64, (16, 16, 16, 16), 16)).eval()
    points, logits = network(torch.rand(3, 3, 64, 64))
    assert points.shape == (3, 68, 3)
    assert logits.shape == (3,)
    assert ((points[..., :2] >= 0) & (points[..., :2] <= 1)).all()
    torch.testing.assert_close(points[..., 2].mean(1), torch.zeros(3), atol=1e-6, rtol=0)


def test_network_refuses_other_sizes():
    with pytest.raises(ValueError, match=r"got \[1, 3, 96, 96\]"):
        LandmarkNet(LandmarkNetConfig())(torch.zeros(1, 3, 96, 96))
    with pytest.raises(ValueError, match="multiple of 16"):
        LandmarkNetConfig(crop_size_px=100)


def test_expected_position_of_a_single_peak():
    logits = torch.full((1, 1, 4, 8), -100.0)
    logits[0, 0, 1, 6] = 100.0
    torch.testing.assert_close(expected_position(logits)[0, 0], torch.tensor([6.5 / 8, 1.5 / 4]))


@pytest.mark.parametrize("side_px", [60.0, 128.0, 300.0, 2000.0])
def test_crop_samples_where_it_says(side_px):
    height, width = 2400, 2600
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([x / 16, y / 16, np.zeros_like(x)], axis=2).astype(np.uint8)
    crop = FaceCrop((1300.3, 1210.7), side_px, 0.4)
    patch = cut_crop(ramp, crop, 128).astype(np.float32)
    grid = (np.stack(np.meshgrid(np.arange(128), np.arange(128)), 2) + 0.5) / 128
    expected = crop.to_picture(grid.astype(np.float32)) / 16
    inside = slice(8, -8)
    assert np.abs(patch[inside, inside, :2] - expected[inside, inside]).max() < 1.6


def test_crop_outside_the_picture_is_black():
    picture = np.full((50, 50, 3), 200, np.uint8)
    assert cut_crop(picture, FaceCrop((-500.0, -500.0), 40.0), 32).max() == 0
    assert cut_crop(picture, FaceCrop((-9000.0, -9000.0), 4000.0), 32).max() == 0


def test_crop_and_back():
    rng = np.random.default_rng(0)
    crop = FaceCrop((100.0, 80.0), 64.0, -0.7)
    points = rng.normal(90, 20, (68, 3)).astype(np.float32)
    np.testing.assert_allclose(crop.to_picture(crop.to_crop(points)), points, atol=1e-3)


def test_landmark_crop_undoes_roll():
    rng = np.random.default_rng(1)
    points = rng.normal(0, 30, (68, 2)).astype(np.float32)
    points[36:48, 1] -= 60
    points[48:60, 1] += 60
    straight = crop_around_landmarks(points)
    angle = 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = crop_around_landmarks((points @ turn.T).astype(np.float32))
    assert turned.roll_rad - straight.roll_rad == pytest.approx(angle, abs=1e-4)
    assert turned.side_px == pytest.approx(straight.side_px, rel=1e-4)


def test_face_boxes_and_brow_boxes_are_inverse():
    points = np.random.default_rng(2).uniform(0, 100, (4, 68, 3)).astype(np.float32)
    lowered = brow_boxes(face_boxes(points))
    np.testing.assert_allclose(lowered[:, :2], points[..., :2].min(1), atol=1e-3)
    np.testing.assert_allclose(lowered[:, 2:], points[..., :2].max(1), atol=1e-3)
    assert crop_around_box(lowered[0]).side_px > 0
