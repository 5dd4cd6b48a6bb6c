"""Scores of a validation that need no network: PSNR, SSIM, LPIPS, correlation of lips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets.held_out import open_lpips
from datasets.spoken_clips import LipAgreement, choose_clips, read_face
from datasets.store.reader import ClipFilter, Store
from retalking.errors import WeightsError
from retalking.face.lip_motion import correlate
from retalking.metrics.image_quality import psnr, ssim
from tests.stores import write_store

CPU = torch.device("cpu")


def test_psnr_of_a_known_error() -> None:
    target = torch.rand(2, 3, 16, 16) * 0.5
    assert psnr(target + 0.1, target).item() == pytest.approx(20, abs=1e-3)
    assert psnr(target, target).item() == pytest.approx(100, abs=1e-3)


def test_ssim_is_that_of_its_definition() -> None:
    a, b = torch.rand(1, 1, 11, 11, dtype=torch.float64), torch.rand(1, 1, 11, 11)
    grid = np.arange(11) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = a[0, 0].numpy(), b[0, 0].double().numpy()
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    both = (window * (x - mean_x) * (y - mean_y)).sum()
    expected = (2 * mean_x * mean_y + 1e-4) * (2 * both + 9e-4)
    expected /= (mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4)
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-5)
    assert ssim(b, b).item() == pytest.approx(1, abs=1e-5)


def test_lpips_is_judged_where_its_weights_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Distance(nn.Module):
        def forward(self, one: torch.Tensor, other: torch.Tensor, normalize: bool) -> torch.Tensor:
            assert normalize
            return (one - other).abs().flatten(1).mean(1)

    absent = tmp_path / "alexnet.pth"
    assert open_lpips(None, CPU) is None
    with pytest.raises(WeightsError, match=r"no LPIPS: .*alexnet.pth.*validation.lpips_weights:"):
        open_lpips(absent, CPU)
    seen = []
    monkeypatch.setattr(
        "datasets.held_out.load_lpips", lambda given, device: seen.append(given) or Distance()
    )
    lpips = open_lpips(absent, CPU)
    assert lpips is not None
    assert lpips(torch.zeros(2, 3, 4, 4), torch.tensor([0.5, 0.25]).view(2, 1, 1, 1)) == 0.375
    assert seen == [{"alexnet": absent}]


def test_correlation() -> None:
    curve = np.array([0.0, 1, 4, 2], np.float32)
    assert correlate(curve, 3 * curve + 1) == pytest.approx(1)
    assert correlate(curve, -curve) == pytest.approx(-1)
    assert correlate(curve, np.ones(4, np.float32)) == 0


class _Painted:
    """Reads the opening from the red of a picture instead of a face."""

    def follow(self, rgb: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.zeros((len(rgb), 68, 3), np.float32)
        points[:, 42:48, 0] = 1
        points[:, 65:68, 1] = rgb[:, -1, -1, :1] / 255
        return points, np.ones(len(rgb), np.float32)


def test_agreement_tells_lips_that_follow_from_lips_that_do_not(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "store", 2))
    face = read_face(choose_clips(store, ClipFilter(("val",)), 3)[0], 32, 20)
    # The mel of a frame names its place in the clip: let the true lips be the loudness.
    faces = np.zeros_like(face.faces)
    loudness = face.speech.mels.mean((1, 2, 3))
    faces[..., 0] = np.rint(255 * loudness)[:, None, None]
    agreement = LipAgreement([type(face)(**{**vars(face), "faces": faces})], _Painted())

    def speak(mels: torch.Tensor, faces: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        return (mels.mean((1, 2, 3)) / 2)[:, None, None, None].expand_as(faces)

    scores = agreement.score(speak, CPU)
    assert scores["lip_correlation"] == pytest.approx(1, abs=1e-2)
    assert scores["lip_correlation_shifted"] < 0
    assert scores["lip_gain"] > 1
    assert scores["lip_deviation"] == pytest.approx(0.5, abs=0.05)
    numb = agreement.score(lambda mels, faces, references: faces, CPU)
    assert numb["lip_gain"] == 0
