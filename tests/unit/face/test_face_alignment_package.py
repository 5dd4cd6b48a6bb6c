"""The face-alignment package behind our protocols, with random weights in its own formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.detection.sfd import FaceDetector as SFDDetector
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN

from models.weights import load_any
from retalking.errors import WeightsError
from retalking.face.face_alignment_package import (
    FanLandmarker,
    NetworkDetector,
    find_peaks,
    weight_paths,
)
from third_party.anchors import Detections
from third_party.retinaface import DetectionConfig, RetinaFace, RetinaFaceConfig
from third_party.s3fd import S3FD


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Random weights of FAN where the package looks; nothing else may be fetched."""
    home = tmp_path_factory.mktemp("torch")
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(FAN(4).state_dict(), checkpoints / "2DFAN4-11f355bf06.pth.tar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setattr(torch.hub, "_hub_dir", None)
        yield checkpoints


@pytest.fixture(scope="module")
def analyser(folder: Path) -> FanLandmarker:
    return FanLandmarker.from_package(torch.device("cpu"))


def test_landmarks_lie_around_the_box(analyser: FanLandmarker) -> None:
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


def test_one_picture_per_face_is_the_same_as_one_for_all(analyser: FanLandmarker) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    boxes = np.array([[30, 20, 120, 130]], np.float32)
    alone, _ = analyser.predict(picture, boxes)
    stacked, _ = analyser.predict(picture[None], boxes)
    np.testing.assert_array_equal(alone, stacked)
    followed, _ = analyser.follow(picture, alone)
    assert followed.shape == (1, 68, 3)


@pytest.mark.slow
def test_faces_in_a_batch_are_where_the_package_finds_them_one_by_one(
    analyser: FanLandmarker,
) -> None:
    random = np.random.default_rng(2)
    pictures = random.integers(0, 256, (3, 150, 170, 3), dtype=np.uint8)
    low, size = random.uniform(-9, 60, (3, 2)), random.uniform(50, 110, (3, 2))
    boxes = np.concatenate([low, low + size], axis=1).astype(np.float32)
    points, confidence = analyser.predict(pictures, boxes)
    package = FaceAlignment(
        LandmarksType.TWO_D,
        device="cpu",
        flip_input=False,
        face_detector="folder",
        compile=False,
    )
    for row, box in enumerate(boxes):
        found, scores, _ = package.get_landmarks_from_image(
            pictures[row], [np.append(box, 1)], return_landmark_score=True
        )
        # Whole pixels; one that lies on the edge of two may fall to either side.
        assert np.abs(points[row, :, :2] - found[0]).max() <= 1
        assert (points[row, :, :2] == found[0]).mean() > 0.97
        assert confidence[row] == pytest.approx(np.mean(scores[0]).clip(0, 1), abs=1e-4)
        alone, _ = analyser.predict(pictures[row], box[None])
        assert (points[row] == alone[0]).mean() > 0.97
    assert analyser.predict(pictures[0], boxes[:0])[0].shape == (0, 68, 3)


def test_peaks_lean_towards_the_higher_neighbour_but_not_at_the_border() -> None:
    maps = torch.zeros(1, 3, 64, 64)
    maps[0, 0, 10, 20:22] = torch.tensor([2.0, 1.0])
    maps[0, 1, 40, 30], maps[0, 1, 39, 30] = 3.0, 1.0
    maps[0, 2, 0, 5], maps[0, 2, 0, 6] = 4.0, 1.0
    expected = [[20.75, 10.5, 2], [30.5, 40.25, 3], [5.5, 0.5, 4]]
    torch.testing.assert_close(find_peaks(maps), torch.tensor([expected]))


def test_our_detector_takes_the_packages_file_and_finds_what_the_package_finds(
    tmp_path: Path,
) -> None:
    theirs = s3fd()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        theirs.conv4_3_norm_mbox_conf.bias[1] = 2.0  # some cells of one map see a face
    torch.save(theirs.state_dict(), tmp_path / "s3fd.pth")
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    detector = NetworkDetector.from_file("official", tmp_path / "s3fd.pth", torch.device("cpu"))
    boxes = detector.detect(picture)

    package = SFDDetector("cpu", str(tmp_path / "s3fd.pth"))
    # The package subtracts BGR's mean from BGR, Wav2Lip's copy of it from RGB, and we do as that.
    expected = np.array(package.detect_from_image(picture[..., ::-1]))
    assert len(expected) > 3
    np.testing.assert_allclose(boxes, expected[:, :4], rtol=0, atol=0.01)  # fp32, other order
    several = load_any(tmp_path / "s3fd.pth", S3FD, "S3FD").eval()
    faces = several.detect(np.stack([picture[::-1], picture, picture]))
    for found in faces[1:]:
        np.testing.assert_allclose(found.boxes_px, boxes, rtol=0, atol=0.01)


class OneFace(RetinaFace):
    """Answers with one face, whatever it sees."""

    def __init__(self) -> None:
        super().__init__(RetinaFaceConfig((1, 1, 1, 1), 4))

    def detect(self, images: np.ndarray, config: DetectionConfig | None = None) -> list[Detections]:
        box = np.array([[1, 2, 3, 4]], np.float32)
        return [Detections(box, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))]


def test_either_network_is_a_detector() -> None:
    boxes = NetworkDetector(OneFace()).detect(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("kind", "file"),
    [("official", r"s3fd-619a316812\.pth"), ("retinaface", r"detection_Resnet50_Final\.pth")],
)
def test_missing_files_are_named(
    kind: Literal["official", "retinaface"],
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=rf"{file}.*download_checkpoints"):
        weight_paths(kind, tmp_path)
