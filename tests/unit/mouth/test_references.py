"""References in place: the drift that is measured is the drift that is undone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retalking.face.affine import FFHQ_POINTS_512, GPEN_POINTS_512, transform_points
from retalking.face.crops import LIP_PX, STABILISER_PX, Pads, cut, lip_anchors, lip_crops
from retalking.ibug68 import five_points_by_corners
from retalking.mouth.networks.references import (
    References,
    cut_references,
    locate_references,
    restore_references,
)
from retalking.networks.calls import template_of
from retalking.networks.runner import Runner
from tests.faces import frontal_landmarks
from tests.media import moving_picture
from third_party.gpen import GPEN
from third_party.windows import Window

EYES_PX = 50.0
LANDMARKS = frontal_landmarks(EYES_PX, 5) + np.array([128, 105])


class Pointer:
    """A ``Landmarker`` that finds what it is told, and remembers where it was sent."""

    def __init__(self, found: np.ndarray) -> None:
        self.found = found
        self.starts: list[np.ndarray] = []

    def follow(self, rgb: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert rgb.shape == (1, STABILISER_PX, STABILISER_PX, 3)
        assert points_px.shape == (1, 68, 2)
        flat = self.found[len(self.starts)]
        self.starts.append(points_px)
        points = np.concatenate([flat, np.full((68, 1), 9.0)], axis=1)[None]
        return points.astype(np.float32), np.ones(1, np.float32)

    def predict(self, rgb: np.ndarray, boxes_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("the place of the face is known")


def locate(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    source = np.repeat(LANDMARKS[None], len(found), axis=0)
    rgb = np.zeros((len(found), STABILISER_PX, STABILISER_PX, 3), np.uint8)
    landmarker = Pointer(found)
    run = Runner(torch.device("cpu"), torch.float32, 4, 1)
    landmarks, drift = locate_references(run, landmarker, rgb, source, lip_anchors(source))
    np.testing.assert_array_equal(source, LANDMARKS[None].repeat(len(found), 0))
    assert all(np.allclose(start[0], LANDMARKS, atol=1e-4) for start in landmarker.starts)
    return landmarks, drift


def test_drift_is_how_far_eyes_and_nose_moved() -> None:
    shifts = np.array([(0, 0), (3, -4), (0.5, 10)])
    landmarks, drift = locate(LANDMARKS + shifts[:, None])
    np.testing.assert_allclose(landmarks, LANDMARKS + shifts[:, None], atol=1e-4)
    np.testing.assert_allclose(drift, np.repeat(shifts[:, None], 3, axis=1), atol=1e-4)


def test_the_mouth_does_not_count_as_drift() -> None:
    spoken = LANDMARKS.copy()
    spoken[48:68, 1] += 15
    landmarks, drift = locate(spoken[None])
    np.testing.assert_allclose(drift, 0, atol=1e-4)
    np.testing.assert_allclose(landmarks[0], spoken, atol=1e-4)


@pytest.mark.parametrize("absurd", [0.26 * EYES_PX, 900.0, np.nan])
def test_absurd_drift_is_not_believed(absurd: float) -> None:
    found = np.stack([LANDMARKS + 2, LANDMARKS + np.array([absurd, 0]), LANDMARKS - 1])
    landmarks, drift = locate(found)
    np.testing.assert_array_equal(landmarks[1], LANDMARKS)
    np.testing.assert_array_equal(drift[1], 0)
    np.testing.assert_allclose(
        drift[[0, 2]], np.array([2, -1])[:, None, None] * np.ones((3, 2)), atol=1e-4
    )


def test_one_anchor_out_of_place_is_enough_to_doubt_all() -> None:
    found = LANDMARKS.copy()
    found[31:36] += (0, 0.3 * EYES_PX)
    landmarks, drift = locate(found[None])
    np.testing.assert_array_equal(drift, 0)
    np.testing.assert_array_equal(landmarks[0], LANDMARKS)


def references_of(drift_px: np.ndarray) -> References:
    rgb = np.stack([moving_picture(n, STABILISER_PX, STABILISER_PX) for n in range(len(drift_px))])
    anchors = np.repeat(lip_anchors(LANDMARKS)[None], len(drift_px), axis=0)
    return References(rgb, anchors, drift_px)


def test_references_are_cut_where_the_face_went() -> None:
    drift = np.repeat(np.array([(0, 0), (6, -3)], float)[:, None], 3, axis=1)
    references = references_of(drift)
    pictures = cut_references(references, drift, Pads(), 1.0)
    assert pictures.shape == (2, LIP_PX, LIP_PX, 3)
    for row in range(2):
        crop = lip_crops(lip_anchors(LANDMARKS) + drift[row], Pads())
        np.testing.assert_array_equal(pictures[row], cut(references.rgb[row], crop, LIP_PX))
        # The drifted face lands where the source's does in its own lip crop.
        np.testing.assert_allclose(
            transform_points(crop, lip_anchors(LANDMARKS) + drift[row]),
            transform_points(lip_crops(lip_anchors(LANDMARKS)), lip_anchors(LANDMARKS)),
            atol=1e-9,
        )


class Brighten(nn.Module):
    """A restorer that keeps the face and adds a level; remembers what it was given."""

    def forward(self, faces: Tensor, window: Window | None) -> Tensor:
        assert faces.shape[1:] == (3, 512, 512)
        assert float(faces.min()) >= -1
        return (faces if window is None else window.of(faces)) + 0.5


def restore(pads: Pads) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face before and after, and where it went."""
    references = references_of(np.zeros((1, 3, 2)))
    restored, to_restored = restore_references(
        Runner(torch.device("cpu"), torch.float32, 2),
        Brighten(),  # type: ignore[arg-type]
        references.rgb,
        LANDMARKS[None],
        lip_crops(lip_anchors(LANDMARKS)[None], pads),
    )
    assert restored.shape == (1, 512, 512, 3)
    aligned = cut(references.rgb[0], to_restored[0], 512)
    return aligned.astype(int), restored[0].astype(int), to_restored


def test_what_the_lip_crop_shows_is_restored_and_more_if_it_shows_more() -> None:
    aligned, restored, _ = restore(Pads())
    part = np.s_[96:512, 64:448]
    bright = np.minimum(aligned + 64, 255)
    np.testing.assert_allclose(restored[part], bright[part], atol=1.01)
    np.testing.assert_array_equal(restored[:96], aligned[:96])
    np.testing.assert_allclose(restore(Pads(top=40))[1], bright, atol=1.01)


def test_restored_faces_are_aligned_to_the_template() -> None:
    _, _, to_restored = restore(Pads())
    placed = transform_points(to_restored[0], five_points_by_corners(LANDMARKS))
    # Five points have more freedom than a similarity: the fit is a compromise about their mean.
    np.testing.assert_allclose(placed.mean(axis=0), FFHQ_POINTS_512.mean(axis=0), atol=1e-6)


def test_the_template_is_that_of_the_restorer() -> None:
    gpen = GPEN.__new__(GPEN)  # its type is all that counts
    np.testing.assert_array_equal(template_of(gpen), GPEN_POINTS_512)
    np.testing.assert_array_equal(template_of(None), FFHQ_POINTS_512)
    np.testing.assert_array_equal(template_of(Brighten()), FFHQ_POINTS_512)  # type: ignore[arg-type]


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_mixes_the_restored_face_in(strength: float) -> None:
    drift = np.zeros((1, 3, 2))
    plain = dataclasses.replace(
        references_of(drift), rgb=np.full((1, STABILISER_PX, STABILISER_PX, 3), 100, np.uint8)
    )
    to_restored = np.array([[[2.0, 0, 0.5], [0, 2.0, 0.5]]])
    references = dataclasses.replace(
        plain, restored=(np.full((1, 512, 512, 3), 200, np.uint8), to_restored)
    )
    pictures = cut_references(references, drift, Pads(), strength)
    centre = pictures[0, 150:234, 150:234]
    np.testing.assert_allclose(centre, 100 + 100 * strength, atol=1)
    assert pictures.min() >= 99
    assert pictures.max() <= 200


def test_an_unchanged_restored_face_changes_nothing() -> None:
    drift = np.zeros((1, 3, 2))
    y, x = np.mgrid[:STABILISER_PX, :STABILISER_PX]
    smooth = (60 + 0.3 * x + 0.2 * y).round().astype(np.uint8)
    plain = dataclasses.replace(references_of(drift), rgb=np.repeat(smooth[None, ..., None], 3, -1))
    to_restored = np.array([[[1.9, 0.2, 3.0], [-0.2, 1.9, 7.0]]])
    references = dataclasses.replace(
        plain, restored=(cut(plain.rgb[0], to_restored[0], 512)[None], to_restored)
    )
    difference = cut_references(references, drift, Pads(), 1.0).astype(int) - cut_references(
        plain, drift, Pads(), 1.0
    )
    assert np.abs(difference).max() <= 2
