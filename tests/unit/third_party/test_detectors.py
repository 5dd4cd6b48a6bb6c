"""RetinaFace and S3FD: anchors, suppression, places in the picture."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from third_party import retinaface, s3fd
from third_party.anchors import decode_boxes, decode_points, grid_anchors, select_best
from third_party.retinaface.detection import make_anchors
from third_party.retinaface.network import RawOutputs


def test_anchors_run_by_row_column_side() -> None:
    anchors = grid_anchors(2, 3, 8, (16, 32))
    assert anchors.shape == (12, 4)
    assert anchors[1].tolist() == [4, 4, 32, 32]
    assert anchors[2].tolist() == [12, 4, 16, 16]
    assert anchors[6].tolist() == [4, 12, 16, 16]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (250, 333), (7, 1)])
@torch.no_grad()
def test_retinaface_has_an_anchor_for_each_output(height: int, width: int) -> None:
    network = retinaface.RetinaFace(retinaface.RetinaFaceConfig((1, 1, 1, 1), 8)).eval()
    raw = network(torch.randn(2, 3, height, width))
    count = len(make_anchors(height, width))
    assert [tuple(part.shape) for part in raw] == [(2, count, 4), (2, count, 2), (2, count, 10)]


def test_zero_offsets_decode_to_the_anchor() -> None:
    anchors = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    assert decode_boxes(torch.zeros(3, 1, 4), anchors)[2, 0].tolist() == [8, 16, 12, 24]
    assert decode_points(torch.zeros(1, 10), anchors).tolist() == [[[10, 20]] * 5]


def test_offsets_are_shares_of_the_anchor() -> None:
    anchors = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    grown = torch.tensor([[10.0, 0.0, float(np.log(2)) / 0.2, 0.0]])
    torch.testing.assert_close(
        decode_boxes(grown, anchors), torch.tensor([[10.0, 16.0, 18.0, 24.0]])
    )


def suppress_slowly(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], max_overlap: float, border: float
) -> list[int]:
    """Greedy suppression by its definition."""
    kept: list[int] = []
    for index in np.argsort(-scores):
        x1, y1, x2, y2 = boxes[index]
        for other in kept:
            u1, v1, u2, v2 = boxes[other]
            width = min(x2, u2) - max(x1, u1) + border
            height = min(y2, v2) - max(y1, v1) + border
            shared = max(width, 0) * max(height, 0)
            area = (x2 - x1 + border) * (y2 - y1 + border)
            area += (u2 - u1 + border) * (v2 - v1 + border)
            if shared / (area - shared) > max_overlap:
                break
        else:
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("pixel_areas", [False, True])
def test_suppression_equals_its_definition(pixel_areas: bool) -> None:
    corners = torch.rand(200, 2) * 40
    boxes = torch.cat([corners, corners + torch.rand(200, 2) * 20], dim=1)
    scores = torch.rand(200)
    got = select_best(boxes, scores, 0.4, pixel_areas=pixel_areas).tolist()
    expected = suppress_slowly(boxes.numpy(), scores.numpy(), 0.4, 1.0 if pixel_areas else 0.0)
    assert got == expected
    assert 10 < len(got) < 200


@pytest.mark.parametrize(
    ("picture", "network"),
    [((900, 1500), (900, 1500)), ((900, 1600), (562, 1000)), ((1600, 900), (1000, 562))],
)
def test_large_pictures_are_reduced(picture: tuple[int, int], network: tuple[int, int]) -> None:
    assert retinaface.DetectionConfig().network_size(*picture) == network
    assert retinaface.DetectionConfig(max_side_px=None).network_size(*picture) == picture


class OneFaceRetina(retinaface.RetinaFace):
    """Sees in every picture one face, exactly at the third anchor, and records its input."""

    def __init__(self) -> None:
        super().__init__(retinaface.RetinaFaceConfig((1, 1, 1, 1), 4))

    def forward(self, images: Tensor) -> RawOutputs:
        self.seen = images
        batch, count = len(images), len(make_anchors(*images.shape[2:]))
        scores = torch.zeros(batch, count, 2)
        scores[:, 2, 1] = 0.95
        return RawOutputs(torch.zeros(batch, count, 4), scores, torch.zeros(batch, count, 10))


def test_retinaface_reports_places_in_the_picture() -> None:
    images = np.zeros((2, 100, 200, 3), np.uint8)
    images[..., 0] = 255  # red
    network = OneFaceRetina()
    config = retinaface.DetectionConfig(max_side_px=150, reduced_side_px=100)
    for faces in network.detect(images, config):
        np.testing.assert_allclose(faces.boxes_px, [[8, -8, 40, 24]])
        np.testing.assert_allclose(faces.points_px, [[[24, 8]] * 5])
        np.testing.assert_allclose(faces.scores, [0.95])
        assert len(faces) == 1
    assert network.seen.shape == (2, 3, 50, 100)
    torch.testing.assert_close(network.seen[0, :, 0, 0], torch.tensor([-104.0, -117.0, 132.0]))


def test_retinaface_without_a_face_reports_none() -> None:
    config = retinaface.DetectionConfig(min_score=0.96)
    (faces,) = OneFaceRetina().detect(np.zeros((1, 64, 64, 3), np.uint8), config)
    assert len(faces) == 0
    assert faces.boxes_px.shape == (0, 4)
    assert faces.points_px.shape == (0, 5, 2)


class OneFaceS3FD(s3fd.S3FD):
    """Sees one face at the second cell of the second stride, and a doubtful one beside it."""

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        self.seen = images
        outputs = []
        for stride in (4, 8, 16, 32, 64, 128):
            size = max(images.shape[2] // stride, 1)
            logits = torch.zeros(1, 2, size, size)
            logits[:, 0] = 20.0
            outputs.append((logits, torch.zeros(1, 4, size, size)))
        outputs[1][0][0, :, 0, 1] = torch.tensor([0.0, 3.0])
        outputs[1][0][0, :, 6, 6] = torch.tensor([2.0, 0.0])
        return outputs


def test_s3fd_keeps_upstreams_colours_and_reports_places() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    images[..., 0] = 255
    network = OneFaceS3FD()
    (faces,) = network.detect(images)
    np.testing.assert_allclose(faces.boxes_px, [[12 - 16, 4 - 16, 12 + 16, 4 + 16]])
    assert faces.scores[0] == pytest.approx(1 / (1 + np.exp(-3.0)), rel=1e-5)
    assert faces.points_px.shape == (1, 0, 2)
    torch.testing.assert_close(network.seen[0, :, 0, 0], torch.tensor([151.0, -117.0, -123.0]))
    doubtful_too = dataclasses.replace(s3fd.DetectionConfig(), min_score=0.1)
    assert len(network.detect(images, doubtful_too)[0]) == 2


@pytest.mark.parametrize("images", [np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)])
def test_detectors_refuse_other_arrays(images: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"images: got .* expected RGB uint8\[B, H, W, 3\]"):
        OneFaceRetina().detect(images)
