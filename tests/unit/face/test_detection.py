"""Face detection on a real face: bundled portrait of an astronaut, in the public domain."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from retalking.face.detection import (
    CascadeDetector,
    intersection_over_union,
    list_sweep_crops,
    suppress_overlaps,
)
from retalking.face.landmarks import LiteLandmarker

FACE_BOX = np.array([178.0, 62.0, 270.0, 179.0], np.float32)  # hairline to chin, by eye


@pytest.fixture(scope="module")
def detector():
    torch.set_num_threads(1)
    return CascadeDetector(LiteLandmarker.from_file())


def test_finds_the_one_face(detector):
    boxes = detector.detect(data.astronaut())
    assert boxes.shape == (1, 4)
    assert boxes.dtype == np.float32
    assert intersection_over_union(FACE_BOX, boxes)[0] > 0.7


def test_finds_two_faces_of_different_size(detector):
    scene = np.full((600, 1100, 3), 90, np.uint8)
    scene[44:556, 0:512] = data.astronaut()
    scene[150:406, 700:956] = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    boxes = detector.detect(scene)
    assert len(boxes) == 2
    for expected in (FACE_BOX + np.array([0, 44, 0, 44]), FACE_BOX / 2 + (700, 150, 700, 150)):
        assert intersection_over_union(expected.astype(np.float32), boxes).max() > 0.6


def test_a_quick_look_finds_those_who_are_not_known(detector):
    scene = np.full((600, 1100, 3), 90, np.uint8)
    scene[44:556, 0:512] = data.astronaut()
    scene[100:550, 640:1090] = cv2.resize(
        data.astronaut(), (450, 450), interpolation=cv2.INTER_AREA
    )
    large, small = sorted(detector.detect(scene), key=lambda box: box[0])
    for known, other in ((large, small), (small, large)):
        (found,) = detector.detect(scene, known[None])
        assert intersection_over_union(other, found[None])[0] > 0.6
    assert detector.detect(scene, np.stack([small, large])).shape == (0, 4)
    assert detector.detect(data.coffee(), large[None]).shape == (0, 4)


@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_size_of_the_picture_does_not_matter(detector, scale):
    picture = cv2.resize(data.astronaut(), None, fx=scale, fy=scale)
    boxes = detector.detect(picture)
    assert len(boxes) == 1
    assert intersection_over_union(FACE_BOX * np.float32(scale), boxes)[0] > 0.65


def test_sweep_finds_a_head_that_the_cascade_misses(detector):
    center = (224.0, 120.0)
    turn = cv2.getRotationMatrix2D(center, 40, 1.0)
    tilted = cv2.warpAffine(data.astronaut(), turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    expected = np.array([170, 60, 280, 190], np.float32)
    proposals = detector._propose(tilted, 640)
    assert not (intersection_over_union(expected, proposals) > 0.3).any()
    boxes = detector.detect(tilted)
    assert len(boxes) == 1
    assert intersection_over_union(expected, boxes)[0] > 0.5


def test_finds_a_small_face_in_a_large_picture(detector):
    scene = cv2.resize(data.coffee(), (1280, 720))
    scene[300:500, 800:1000] = cv2.resize(
        data.astronaut(), (200, 200), interpolation=cv2.INTER_AREA
    )
    expected = (FACE_BOX * 200 / 512 + (800, 300, 800, 300)).astype(np.float32)
    boxes = detector.detect(scene)
    assert len(boxes) == 1
    assert intersection_over_union(expected, boxes)[0] > 0.6


@pytest.mark.parametrize("name", ["coffee", "brick", "page", "rocket"])
def test_no_face_where_there_is_none(detector, name):
    picture = getattr(data, name)()
    rgb = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    assert detector.detect(rgb).shape == (0, 4)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20, 20), (40, 3000)])
def test_tiny_pictures_have_no_face(detector, size):
    assert detector.detect(np.full((*size, 3), 128, np.uint8)).shape == (0, 4)


def test_suppression_keeps_the_most_certain_first():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    kept = suppress_overlaps(boxes, np.array([0.7, 0.8, 0.9], np.float32))
    np.testing.assert_array_equal(kept, boxes[[2, 1]])
    assert suppress_overlaps(boxes[:0], np.zeros(0, np.float32)).shape == (0, 4)


def test_intersection_over_union():
    box = np.array([0, 0, 2, 2], np.float32)
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], np.float32)
    np.testing.assert_allclose(intersection_over_union(box, others), [1, 1 / 3, 0], atol=1e-6)


def test_sweep_covers_the_picture():
    crops = list_sweep_crops(100, 180)
    covered = np.zeros((100, 180), bool)
    for crop in crops:
        (x, y), half = crop.center_px, crop.side_px / 2
        assert x - half >= -1e-6
        assert x + half <= 180 + 1e-6
        covered[int(y - half) : int(y + half) + 1, int(x - half) : int(x + half) + 1] = True
    assert covered.all()
