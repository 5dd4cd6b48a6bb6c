"""The face-alignment package behind our protocols, with random weights in its own formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN

from retalking.errors import WeightsError
from retalking.face import face_alignment_package
from retalking.face.face_alignment_package import FaceAlignmentAnalyser, weight_paths


@pytest.fixture(scope="module")
def analyser(tmp_path_factory: pytest.TempPathFactory) -> FaceAlignmentAnalyser:
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(s3fd().state_dict(), folder / "s3fd-619a316812.pth")
    torch.save(FAN(4).state_dict(), folder / "2DFAN4-11f355bf06.pth.tar")
    paths = (folder / "s3fd-619a316812.pth", folder / "2DFAN4-11f355bf06.pth.tar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setattr(torch.hub, "_hub_dir", None)
        patch.setattr(face_alignment_package, "weight_paths", lambda: paths)
        return FaceAlignmentAnalyser(torch.device("cpu"))


def test_landmarks_lie_around_the_box(analyser: FaceAlignmentAnalyser) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    boxes = np.array([[60, 40, 160, 160], [20, 20, 90, 110]], np.float32)
    points, confidence = analyser.predict(picture, boxes)
    assert points.shape == (2, 68, 3)
    assert points.dtype == confidence.dtype == np.float32
    assert (points[..., 2] == 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()
    for face, (x1, y1, x2, y2) in zip(points, boxes, strict=True):
        reach = 1.2 * max(x2 - x1, y2 - y1)
        center = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        assert np.abs(face[:, :2] - center).max() < reach


def test_one_picture_per_face_is_the_same_as_one_for_all(analyser: FaceAlignmentAnalyser) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    boxes = np.array([[30, 20, 120, 130]], np.float32)
    alone, _ = analyser.predict(picture, boxes)
    stacked, _ = analyser.predict(picture[None], boxes)
    np.testing.assert_array_equal(alone, stacked)
    followed, _ = analyser.follow(picture, alone)
    assert followed.shape == (1, 68, 3)


def test_the_detector_gives_boxes(
    analyser: FaceAlignmentAnalyser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [np.array([10, 20, 50, 70, 0.6]), np.array([80, 20, 120, 70, 0.9])]
    detector = analyser._networks.face_detector
    picture = np.zeros((100, 150, 3), np.uint8)
    monkeypatch.setattr(detector, "detect_from_image", lambda image: found)
    np.testing.assert_array_equal(analyser.detect(picture), [[80, 20, 120, 70], [10, 20, 50, 70]])
    monkeypatch.setattr(detector, "detect_from_image", lambda image: [])
    assert analyser.detect(picture).shape == (0, 4)


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"s3fd-619a316812\.pth.*download_checkpoints"):
        weight_paths()
