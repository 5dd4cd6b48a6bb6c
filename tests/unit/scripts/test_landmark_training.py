"""Samples, training and basis fitting of the lite face analysis, on synthetic labels."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from datasets.landmarks import (
    LandmarkDataSettings,
    LandmarkSamples,
    Offset,
    degrade,
    draw_misplaced,
    is_held_out,
    place,
)
from models import weights
from models.landmarks import LandmarkNet
from retalking.coefficients.basis import ExpressionBasis, lip_gap
from retalking.ibug68 import MIRRORED
from retalking.locations import REPOSITORY
from retalking.training.cli import launch
from scripts.lite import evaluate_landmarks, fit_expression_basis, train_landmarks


def write_label(path, rng, num_faces=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        frame=np.arange(num_faces),
        points=rng.uniform(0, 100, (num_faces, 68, 3)).astype(np.float32),
        crops=rng.integers(0, 255, (num_faces, 192, 192, 3), np.uint8),
        crop_points=rng.uniform(0.3, 0.7, (num_faces, 68, 3)).astype(np.float32),
        negatives=rng.integers(0, 255, (2, 128, 128, 3), np.uint8),
    )


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "silent", "lrcar_train"):
        write_label(tmp_path / "labels" / split / "clip.npz", rng)
    for name in "abcdefgh":
        write_label(tmp_path / "labels" / "images" / f"{name}.npz", rng, 1)
    return tmp_path / "labels"


def test_mirroring_twice_changes_nothing():
    mirrored = np.array(MIRRORED)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(68))
    assert mirrored[36] == 45
    assert mirrored[48] == 54
    assert mirrored[8] == 8


def test_samples_repeat_and_have_the_documented_form(labels):
    samples = LandmarkSamples(LandmarkDataSettings(labels=labels), seed=1)
    kinds = set()
    for draw in range(60):
        crop, points, visible, label, _ = samples[draw]
        again = samples[draw]
        np.testing.assert_array_equal(crop, again[0])
        np.testing.assert_array_equal(points, again[1])
        assert crop.shape == (128, 128, 3)
        assert crop.dtype == np.uint8
        assert points.shape == (68, 3)
        assert points.dtype == visible.dtype == np.float32
        assert label in (0.0, 1.0, -1.0)
        if label == 0:
            assert not visible.any()
        kinds.add(label)
    assert {0.0, 1.0} <= kinds


def test_held_out_photographs_are_no_samples(labels):
    held_out = [name for name in "abcdefgh" if is_held_out(name)]
    assert 0 < len(held_out) < 8
    settings = LandmarkDataSettings(labels=labels)
    assert len(LandmarkSamples(settings, seed=1).crops) == 9 + 8 - len(held_out)
    judged = LandmarkSamples(settings, seed=1, held_out=True)
    assert judged.names == [f"images/{name}" for name in held_out]


def test_placed_points_stay_on_their_pixels():
    rng = np.random.default_rng(3)
    wide = np.zeros((192, 192, 3), np.uint8)
    points = rng.uniform(0.4, 0.6, (68, 3)).astype(np.float32)
    column, row = (points[0, :2] * 192).astype(int)
    points[0, :2] = (np.array([column, row]) + 0.5) / 192
    wide[row - 2 : row + 3, column - 2 : column + 3] = 255
    offset = Offset(0.6, 0.2, np.array([0.05, -0.08]))
    crop, placed = place(wide, points, offset, rng)
    bright = np.argwhere(crop[..., 0] > 128).mean(axis=0)[::-1]
    np.testing.assert_allclose(placed[0, :2] * 128 - 0.5, bright, atol=0.6)


def test_misplaced_crops_are_far_off():
    rng = np.random.default_rng(4)
    for _ in range(50):
        offset = draw_misplaced(rng)
        beside = np.linalg.norm(offset.shift) >= 0.38
        assert beside or abs(offset.log_scale) >= 0.75 or abs(offset.roll_rad) >= 1.4


def test_degrading_keeps_form_and_changes_pixels():
    rng = np.random.default_rng(5)
    crop = rng.integers(0, 255, (128, 128, 3), np.uint8)
    for _ in range(20):
        changed = degrade(crop, crop[None], rng)
        assert changed.shape == crop.shape
        assert changed.dtype == np.uint8
        assert (changed != crop).mean() > 0.2


def train(labels, out, steps):
    config = REPOSITORY / "configs" / "landmarks" / "lite.yaml"
    command = ["--config", config, "--run-dir", out, "--set", f"data.labels={labels}"]
    settings = {
        "loop.num_steps": steps,
        "loop.batch_size": 4,
        "loop.num_workers": 0,
        "loop.validate_every": 2,
        "loop.save_every": 2,
        "validation_samples": 3,
        "compute.precision": "fp32",
        "compute.deterministic": "true",
    }
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    return launch(
        "Train.",
        train_landmarks.LandmarkTraining,
        train_landmarks.train,
        [str(word) for word in [*command, "--device", "cpu"]],
    )


def test_continued_training_ends_where_the_uninterrupted_does(labels, tmp_path):
    assert train(labels, tmp_path / "whole", 4) == 0
    assert train(labels, tmp_path / "parts", 2) == 0
    assert train(labels, tmp_path / "parts", 4) == 0
    whole, resumed = (
        weights.load(tmp_path / name / "weights-best.safetensors", LandmarkNet).state_dict()
        for name in ("whole", "parts")
    )
    for name, value in whole.items():
        assert torch.isfinite(value).all()
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_losses_ignore_what_does_not_count():
    points = torch.rand(3, 68, 3)
    visible = torch.ones(3, 68)
    visible[1] = 0
    wrong = points.clone()
    wrong[1] += 5
    is_face = torch.tensor([1.0, 0.0, -1.0])
    logits = torch.tensor([20.0, -20.0, -20.0])
    losses = train_landmarks.compute_losses(wrong, logits, points, visible, is_face)
    assert all(float(loss) < 1e-6 for loss in losses)
    wrong[0, 66, 1] += 0.1
    point, lips, _ = train_landmarks.compute_losses(wrong, logits, points, visible, is_face)
    assert point > 0
    assert lips > 0


def test_missing_labels_end_with_one_line(tmp_path, capsys):
    assert train(tmp_path / "none", tmp_path / "run", 1) == 2
    assert "label_landmarks" in capsys.readouterr().err


def test_evaluation_names_missing_folders(monkeypatch, tmp_path, capsys):
    folders = [str(tmp_path), str(tmp_path / "none"), str(tmp_path)]
    words = [
        w for pair in zip(("--labels", "--clips", "--images"), folders, strict=True) for w in pair
    ]
    monkeypatch.setattr(sys, "argv", ["evaluate_landmarks", *words])
    assert evaluate_landmarks.main() == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_basis_is_recovered_from_synthetic_people():
    """People drawn from the committed basis give a basis with the same main movement."""
    truth = ExpressionBasis.from_file()
    rng = np.random.default_rng(6)
    people = []
    for _ in range(12):
        person = np.tensordot(rng.normal(size=len(truth.identities)), truth.identities, axes=1)
        gaps = np.maximum(rng.normal(0.1, 0.1, 60), 0)[:, None, None]
        smile = rng.uniform(0, 1, 60)[:, None, None] * (
            truth.decode(truth.templates["smile"]) - truth.mean_shape
        )
        people.append((truth.mean_shape + person + gaps * truth.opening + smile) * 50 + 128)
    basis = fit_expression_basis.fit_basis(people)
    neutral, smile = (basis.decode(basis.templates[name]) for name in ("neutral", "smile"))
    assert lip_gap(neutral) < 0.05
    assert smile[54, 0] - smile[48, 0] > 1.05 * (neutral[54, 0] - neutral[48, 0])
    opening = basis.opening.ravel() @ truth.opening.ravel()
    opening /= np.linalg.norm(basis.opening) * np.linalg.norm(truth.opening)
    assert opening > 0.9
    mirrored = basis.mean_shape[list(MIRRORED)] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, basis.mean_shape, atol=1e-5)


def test_people_are_named_by_clip():
    names = {"clip_a": "ann", "clip_b": "ann"}
    assert fit_expression_basis.person_of("clip_a", names) == "ann"
    assert fit_expression_basis.person_of("mead_W009_front_sad", names) == "mead_W009"
    assert fit_expression_basis.person_of("unknown", names) == "unknown"


def test_comparison_with_the_teacher():
    rng = np.random.default_rng(7)
    face = rng.uniform(0, 100, (68, 3)).astype(np.float32)
    far = face + np.float32(1000)
    moved = face + np.array([1, 0, 0], np.float32)
    errors, openings, extra = evaluate_landmarks.compare(
        np.stack([face, far]), np.stack([moved, face - 2000])
    )
    eyes = np.linalg.norm(face[36, :2] - face[45, :2])
    assert errors[0] == pytest.approx(1 / eyes, rel=1e-3)
    assert np.isnan(errors[1])
    assert openings[0][0] == pytest.approx(openings[0][1], rel=1e-4)
    assert extra == 1
    errors, _, extra = evaluate_landmarks.compare(face[None], np.zeros((0, 68, 3), np.float32))
    assert np.isnan(errors[0])
    assert extra == 0
