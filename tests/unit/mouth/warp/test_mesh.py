from __future__ import annotations

import cv2
import numpy as np

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, lip_anchors, lip_crops
from retalking.mouth.warp.mesh import add_ring, between_crops, triangulate, warp_map
from retalking.mouth.warp.mouth_patch import join_mouth
from tests.talking import talking_points

BOX = (30, 60, 210, 220)
STILL = np.eye(2, 3)


def goal(gap: float, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    points = talking_points(np.array([gap]), np.array([yaw]))
    to_lips = lip_crops(lip_anchors(points[..., :2]))[0]
    return add_ring(points[0], to_lips), to_lips


def triangles() -> np.ndarray:
    points, to_lips = goal(0.3)
    return triangulate(transform_points(to_lips, points[:, :2]))


def test_triangles_cover_the_crop_and_keep_the_lips_apart() -> None:
    found = triangles()
    points, to_lips = goal(0.3)
    corners = transform_points(to_lips, points[:, :2])[found]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum() / 2
    assert abs(area / (LIP_PX - 1) ** 2 - 1) < 1e-3
    upper, lower = {49, 50, 51, 52, 53}, {55, 56, 57, 58, 59}
    assert not any(upper & set(t) and lower & set(t) for t in found.tolist())


def test_landmarks_come_from_where_they_are() -> None:
    (here, _), (there, _) = goal(0.0), goal(0.2)
    found = warp_map(triangles(), here, there, STILL, BOX, 0.4)
    for point in (8, 5, 57, 51, 48):
        x, y = np.rint(there[point, :2] - BOX[:2]).astype(int)
        offset = np.array([found.x[y, x], found.y[y, x]]) - here[point, :2]
        # Half a pixel of rounding, and the filter over the map.
        assert np.abs(offset).max() < 1.2


def test_nothing_is_carried_farther_than_a_landmark() -> None:
    """Triangles at the corners of closed lips have hardly any area, and slopes without bounds."""
    rng = np.random.default_rng(3)  # without bounds: 11 px too far
    here, _ = goal(0.1)
    there, _ = goal(0.0)
    there[60:68, :2] += rng.normal(0, 0.1, (8, 2))
    farthest = np.abs(here - there)[:, :2].max(axis=0)
    found = warp_map(triangles(), here, there, STILL, BOX, 0.4)
    x, y = np.meshgrid(np.arange(BOX[0], BOX[2]), np.arange(BOX[1], BOX[3]))
    assert np.abs(found.x - x).max() < farthest[0] + 1e-3
    assert np.abs(found.y - y).max() < farthest[1] + 1e-3


def test_what_does_not_move_stays_to_the_pixel() -> None:
    here, to_lips = goal(0.1)
    found = warp_map(triangles(), here, here, between_crops(to_lips, to_lips), BOX, 1.0)
    picture = np.random.default_rng(0).integers(0, 256, (240, 240, 3)).astype(np.uint8)
    x1, y1, x2, y2 = BOX
    np.testing.assert_array_equal(found.pull(picture), picture[y1:y2, x1:x2])


def test_a_turned_face_hides_its_far_side() -> None:
    here, _ = goal(0.1, np.deg2rad(50))
    found = warp_map(triangles(), here, here, STILL, BOX, 0.4)
    x, y = np.meshgrid(np.arange(BOX[0], BOX[2]), np.arange(BOX[1], BOX[3]))
    assert np.abs(found.x - x).max() < 1e-3
    assert np.abs(found.y - y).max() < 1e-3


def test_a_mouth_takes_the_light_of_its_place() -> None:
    rng = np.random.default_rng(0)
    outline = np.array([(40 + 25 * np.cos(a), 30 + 14 * np.sin(a)) for a in np.arange(12) / 1.91])
    detail = cv2.GaussianBlur(rng.normal(0, 20, (60, 80, 3)).astype(np.float32), (0, 0), 1)
    base = np.full((60, 80, 3), 120, np.uint8)
    shade = np.linspace(-20, 20, 80, dtype=np.float32)[:, None] + np.float32(15)
    shaded = join_mouth(base, base + shade, outline, (0, 0), 0.5)
    assert np.abs(shaded - 120.0).max() < 8  # of 35 levels
    detailed = join_mouth(base, base + detail, outline, (0, 0), 0.5)
    middle = (slice(25, 35), slice(32, 48))
    np.testing.assert_allclose(detailed[middle], (base + detail)[middle], atol=6)
    assert (detailed[:, :2] == 120).all()
