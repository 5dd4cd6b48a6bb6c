"""Measures on crops of faces, and on how their lips move, where the answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from retalking.face.crops import LIP_PX
from retalking.metrics.face_crops import (
    Likeness,
    Restlessness,
    laplacian_levels,
    lower_psnr_db,
    sharpness,
)
from retalking.metrics.lip_agreement import lip_agreement


def test_psnr_looks_at_the_lower_half_only() -> None:
    target = torch.rand(2, 3, 96, 96) * 0.8
    output = target + 0.1
    output[0, :, :48] = 0
    assert lower_psnr_db(output, target) == pytest.approx([20, 20], abs=1e-3)


def test_sharpness_of_a_slope_is_its_steepness() -> None:
    down, across = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    slope = (0.03 * across + 0.04 * down).expand(2, 3, 8, 8)
    assert sharpness(slope) == pytest.approx([0.05, 0.05], rel=1e-4)


def test_likeness_of_the_truth_itself_and_of_its_enlargement() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 256, (2, LIP_PX, LIP_PX, 3), dtype=np.uint8)
    small = avg_pool2d(torch.from_numpy(true).permute(0, 3, 1, 2) / 255, LIP_PX // 96)
    likeness = Likeness(has_enet=True)
    likeness.add(true, true, small)
    scores = likeness.scores()
    assert scores["lower_psnr_db"] == pytest.approx(100)
    assert scores["sharpness"] == scores["lower_sharpness"] == 1
    assert scores["enet_gain_db"] > 80
    alone = Likeness(has_enet=False)
    alone.add(true, true, small + 0.1)
    assert alone.scores() == {"lower_psnr_db": pytest.approx(20, abs=1e-3)}


def test_restlessness_counts_only_neighbours_and_only_the_region() -> None:
    region = np.zeros((LIP_PX, LIP_PX), bool)
    region[300:] = True
    levels = np.array([10, 12, 10, 200])
    true = np.broadcast_to(levels[:, None, None, None], (4, LIP_PX, LIP_PX, 3)).astype(np.uint8)
    dubbed = true.copy()
    dubbed[1, 300:] += 1
    dubbed[:, :300] = 0
    numbers = np.array([3, 4, 5, 9])
    whole, parts = Restlessness(region), Restlessness(region)
    whole.add(dubbed, true, numbers)
    parts.add(dubbed[:2], true[:2], numbers[:2])
    parts.add(dubbed[2:], true[2:], numbers[2:])
    assert whole.ratio == parts.ratio == pytest.approx(1.5)


def test_laplacian_of_stripes() -> None:
    stripes = np.zeros((2, 8, 8, 3), np.uint8)
    stripes[:, :, ::2] = 100
    # Each pixel differs by 100 from both neighbours across, from none up or down.
    assert laplacian_levels(stripes) == pytest.approx(200)
    assert laplacian_levels(np.full_like(stripes, 90)) == 0


def test_lips_that_follow_the_wrong_speech_gain_nothing() -> None:
    turn = 2 * np.pi * np.arange(100) / 100
    sine, cosine = np.sin(turn), np.cos(turn)
    scores = lip_agreement([sine / 2, 3 * sine], [cosine, sine], [sine, sine])
    assert scores["lip_correlation"] == pytest.approx(1)
    assert scores["lip_correlation_shifted"] == pytest.approx(0.5)
    assert scores["lip_gain"] == pytest.approx(0.5)
    assert scores["lip_deviation"] == pytest.approx(1.75)
