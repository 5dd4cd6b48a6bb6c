"""Mouths are restored in every frame, or only where the lips are apart."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retalking.face.affine import FFHQ_POINTS_512, fit_similarity
from retalking.face.crops import cut, lip_anchors, lip_crops
from retalking.ibug68 import (
    LOWER_INNER_LIP,
    UPPER_INNER_LIP,
    eye_distance,
    five_points_by_corners,
)
from retalking.inference.profiles import load_profile
from retalking.mouth.restored import RestoredMouth, _mask_by_parts
from retalking.networks.runner import Runner
from retalking.rendering.masks import edited_band
from retalking.rendering.mouth import ChunkFaces, NewFaces
from retalking.rendering.paste_back import Layer
from retalking.timings import Timings
from tests.talking import talking_points, turns
from third_party.parsenet import ParseNet, ParseNetConfig
from third_party.windows import Window

OPENINGS = np.array([0.0, 0.07, 0.2, 0.02])  # in eye distances; begins to show at 0.04


class Brighter(nn.Module):
    """A restorer that adds a level; counts the faces that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.num_faces = 0

    def forward(self, faces: Tensor, window: Window) -> Tensor:
        self.num_faces += len(faces)
        return window.of(faces) + 0.25


class Eyes:
    """Finds lips that are as far apart as frame after frame shall show them."""

    def __init__(self) -> None:
        self._left = iter(OPENINGS)

    def follow(self, _: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.array(points_px)
        gap = next(self._left) * eye_distance(points[0].astype(np.float64))
        points[0, LOWER_INNER_LIP] = points[0, UPPER_INNER_LIP] + (0, gap)
        return points, np.ones(1)


class Still:
    """A mouth that leaves everything as it is."""

    drift_shape = (0,)

    def begin(self, faces: ChunkFaces) -> None:
        return None

    def finish(self, faces: ChunkFaces, begun: None, drift_px: np.ndarray) -> NewFaces:
        matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
        return NewFaces.of(
            [Layer(frame, np.zeros(frame.shape[:2], np.float32), matrix) for frame in faces.frames]
        )


def restore(
    frames: str, restorer: Brighter, monkeypatch: pytest.MonkeyPatch, strength: float = 1.0
) -> list[float]:
    """Greatest value of the mask of each frame's restored mouth; 0 where there is none."""
    count = len(OPENINGS)
    points = talking_points(np.full(count, 0.1), turns(count, 0.0))[..., :2].astype(np.float64)
    pictures = [np.full((240, 240, 3), 90, np.uint8) for _ in range(count)]
    scene = SimpleNamespace(landmarks_px=lambda source: points[source])
    runner = Runner(torch.device("cpu"), torch.float32, 1)
    parts = SimpleNamespace(restorer=restorer, parser=None, runner=runner)
    monkeypatch.setattr("retalking.mouth.restored.LiteLandmarker.from_file", Eyes)
    options = load_profile("lite", {"restorer_frames": frames, "restorer_strength": strength})
    mouth = RestoredMouth(Still(), parts, scene, options, Timings())  # type: ignore[arg-type]
    rows = np.arange(count)
    new = mouth.finish(ChunkFaces(pictures, rows, rows, rows / 25), None, np.zeros((count, 0)))
    return [float(on[0].mask.max()) if on else 0.0 for on in new.overlays]


def test_every_frame_is_restored_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = Brighter()
    shown = restore("all", restorer, monkeypatch)
    assert restorer.num_faces == 4
    assert len(set(shown)) == 1
    assert 0.8 < shown[0] <= 1


def test_closed_mouths_are_left_alone_and_open_ones_fade_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restorer = Brighter()
    full = restore("all", Brighter(), monkeypatch)[0]
    shown = restore("teeth", restorer, monkeypatch, strength=0.8)
    assert restorer.num_faces == 2
    np.testing.assert_allclose(shown, 0.8 * full * np.array([0, 0.5, 1, 0]), atol=1e-3)


@pytest.mark.parametrize("yaw_deg", [0, 40])
def test_what_is_not_parsed_would_not_be_felt(
    yaw_deg: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ParseNetConfig(base_channels=4, max_channels=8, body_depth=1)
        parser = ParseNet(config).eval()
        for module in parser.modules():  # so that labels change from place to place
            if isinstance(module, nn.Conv2d):
                module.weight.data *= 4
    points = talking_points(np.array([0.1, 0.4]), turns(2, yaw_deg))[..., :2].astype(np.float64)
    to_lips = lip_crops(lip_anchors(points))
    rgb = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    frames = list(rgb.repeat(20, axis=1).repeat(20, axis=2))
    faces = [Layer(np.zeros((384, 384, 3), np.uint8), np.zeros((384, 384)), m) for m in to_lips]
    new = NewFaces.of(faces, edited_band())
    corners = fit_similarity(five_points_by_corners(points), FFHQ_POINTS_512)
    pictures = np.stack([cut(f, m, 512) for f, m in zip(frames, corners, strict=True)])
    parts = SimpleNamespace(restorer=None, parser=parser)
    run = Runner(torch.device("cpu"), torch.float32, 1)
    options = load_profile("lite", {})
    mouth = RestoredMouth(Still(), parts, None, options, Timings())  # type: ignore[arg-type]
    labels = mouth._parse(run, parser, pictures, new, corners)
    monkeypatch.setattr("retalking.mouth.restored.PARSED", Window.whole(512))
    everywhere = mouth._parse(run, parser, pictures, new, corners)
    assert (labels != everywhere).any(axis=(1, 2)).all()  # what is outside is left out ...
    assert len(np.unique(labels[:, 300:])) > 3
    shown, wanted = (
        np.stack([layer.mask for layer in _mask_by_parts(new, parsed, corners).layers])
        for parsed in (labels, everywhere)
    )
    assert wanted.max() > 0.2
    assert np.abs(shown - wanted).max() < 2 / 256  # ... but felt in no mask (two sides)
