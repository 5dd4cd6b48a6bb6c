"""Landmark distance, mouth correlation and identity, in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models import weights
from retalking.errors import FaceNotFoundError, MediaError, WeightsError
from retalking.metrics.face_motion import LandmarkDistance, MouthCorrelation
from retalking.metrics.identity import IdentitySimilarity, align_face, load_arcface
from retalking.metrics.means import TrackMetric
from retalking.metrics.metric import Clip, ClipChunk
from retalking.types import FaceTrack, Float64Array
from tests.faces import frontal_landmarks, make_track
from third_party.arcface import ArcFace, ArcFaceConfig

CPU = torch.device("cpu")
STILL = np.broadcast_to(frontal_landmarks() + 150.0, (20, 68, 2))


def clip_of(result: FaceTrack, truth: FaceTrack) -> Clip:
    return Clip("talk", 25.0, result_track=result, truth_track=truth)


def values(metric: TrackMetric, clip: Clip) -> dict[str, float]:
    meter = metric.start(clip)
    meter.add(ClipChunk(0, np.zeros((20, 4, 4, 3), np.uint8)))
    return metric.values(meter.finish())


def mouth_at(openings_px: Float64Array) -> FaceTrack:
    """A face whose inner lips are that far apart."""
    points = STILL[: len(openings_px)].copy()
    points[:, [61, 62, 63], 1] = 240
    points[:, [67, 66, 65], 1] = 240 + openings_px[:, None]
    points[:, [67, 66, 65], 0] = points[:, [61, 62, 63], 0]
    return make_track(points)


def test_landmark_distance_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    moved = STILL + rng.normal(0, 3, STILL.shape)
    result = make_track(moved, detected=[True] * 15 + [False] * 5)
    truth = make_track(STILL, detected=[False] * 2 + [True] * 18)
    found = values(LandmarkDistance(), clip_of(result, truth))
    eyes = np.hypot(*(STILL[0, 45] - STILL[0, 36]))
    apart = np.hypot(*np.moveaxis(moved - STILL, -1, 0))[2:15] / eyes
    assert found["lmd"] == pytest.approx(100 * apart.mean(), rel=1e-5)
    assert found["lmd_mouth"] == pytest.approx(100 * apart[:, 48:].mean(), rel=1e-5)


def test_landmark_distance_does_not_depend_on_the_scale() -> None:
    moved = STILL + np.random.default_rng(0).normal(0, 3, STILL.shape)
    single = values(LandmarkDistance(), clip_of(make_track(moved), make_track(STILL)))
    double = values(LandmarkDistance(), clip_of(make_track(2 * moved), make_track(2 * STILL)))
    assert double == pytest.approx(single, rel=1e-5)
    same = values(LandmarkDistance(), clip_of(make_track(STILL), make_track(STILL)))
    assert same == {"lmd": 0, "lmd_mouth": 0}


def test_mouth_correlation_equals_numpys() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(2, 20, 20)
    made = 0.5 * true + rng.uniform(0, 6, 20)
    found = values(MouthCorrelation(), clip_of(mouth_at(made), mouth_at(true)))
    wanted = np.corrcoef(made, true)[0, 1]
    assert found["mouth_correlation"] == pytest.approx(wanted, abs=1e-5)
    shut = values(MouthCorrelation(), clip_of(make_track(STILL), mouth_at(true)))
    assert shut["mouth_correlation"] == 0


def test_clips_are_averaged() -> None:
    metric = LandmarkDistance()
    tracks = [make_track(STILL + np.array([shift, 0])) for shift in (1.0, 5.0)]
    states = [metric.start(clip_of(track, make_track(STILL))).finish() for track in tracks]
    single = [metric.values(state)["lmd"] for state in states]
    assert metric.values(metric.merge(*states))["lmd"] == pytest.approx(np.mean(single))


def test_undefined_clips_are_named() -> None:
    nobody = make_track(STILL, detected=[False] * 20)
    with pytest.raises(FaceNotFoundError, match="talk: no frame with a face in both"):
        LandmarkDistance().start(clip_of(make_track(STILL), nobody))
    with pytest.raises(MediaError, match="talk: the true mouth does not move"):
        MouthCorrelation().start(clip_of(mouth_at(np.arange(20.0)), make_track(STILL)))


def mean_color(faces: Tensor) -> Tensor:
    return torch.nn.functional.normalize(faces.mean((2, 3)), dim=1)


def test_identity_is_the_mean_cosine_over_frames_with_both_faces() -> None:
    result, source = np.zeros((2, 3, 300, 300, 3), np.uint8)
    result[:], source[:] = (255, 0, 0), (255, 0, 0)
    source[1] = (0, 255, 0)
    tracks = make_track(STILL[:3]), make_track(STILL[:3], detected=[True, True, False])
    clip = Clip("talk", 25.0, result_track=tracks[0], source_track=tracks[1])
    metric = IdentitySimilarity(mean_color, CPU)
    meter = metric.start(clip)
    meter.add(ClipChunk(0, result[:2], source=source[:2]))
    meter.add(ClipChunk(2, result[2:], source=source[2:]))
    # (1, -1, -1) against itself, then against (-1, 1, -1); the third frame has one face.
    assert metric.values(meter.finish())["csim"] == pytest.approx((1 - 1 / 3) / 2, abs=1e-3)


def test_faces_are_aligned_to_arcfaces_points() -> None:
    rgb = np.zeros((300, 300, 3), np.uint8)
    points = STILL[0]
    eye = points[[36, 39]].mean(axis=0).round().astype(int)
    rgb[eye[1] - 3 : eye[1] + 4, eye[0] - 3 : eye[0] + 4] = 255
    face = align_face(rgb, points)
    assert face.shape == (112, 112, 3)
    y, x = np.argwhere(face[..., 0] > 200).mean(axis=0)
    assert np.hypot(x - 38.3, y - 51.7) < 6  # this drawn face is not ArcFace's mean face


def test_arcface_loads_by_path(tmp_path: Path) -> None:
    small = ArcFace(ArcFaceConfig(4, (1, 1), embedding_dim=8, input_px=112))
    weights.save(tmp_path / "face.safetensors", small)
    network = load_arcface({"ArcFace": tmp_path / "face.safetensors"}, CPU)
    assert network.embed(torch.zeros(1, 3, 112, 112)).shape == (1, 8)
    with pytest.raises(WeightsError, match=r"gone\.pth.*CSIM.*not here; .*--weights ArcFace=FILE"):
        load_arcface({"ArcFace": tmp_path / "gone.pth"}, CPU)
