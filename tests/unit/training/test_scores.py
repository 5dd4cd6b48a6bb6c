"""Scores of a validation that need no network: PSNR, SSIM, LPIPS, correlation of lips."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets.held_out import open_lpips
from datasets.spoken_clips import LipAgreement, TalkingFace, choose_clips, read_face
from datasets.store.reader import ClipFilter, Store
from models.syncnet import SyncExpertConfig
from retalking.errors import WeightsError
from retalking.face.lip_motion import correlate
from retalking.metrics.image_quality import psnr, ssim
from retalking.training.distributed import Ranks
from retalking.training.scores import average_samples
from tests.stores import write_store
from tests.unit.training.ranks import run_two

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


def talk_of_loudness(folder: Path) -> TalkingFace:
    """A clip whose lips are as red as its speech is loud; a mel names its place in the clip."""
    store = Store(write_store(folder, 2))
    face = read_face(choose_clips(store, ClipFilter(("val",)), 3)[0], 32, 20)
    faces = np.zeros_like(face.faces)
    faces[..., 0] = np.rint(255 * face.speech.mels.mean((1, 2, 3)))[:, None, None]
    return dataclasses.replace(face, faces=faces)


def redden(mels: torch.Tensor, faces: torch.Tensor, share: float) -> torch.Tensor:
    return (mels.mean((1, 2, 3)) * share)[:, None, None, None].expand_as(faces)


def test_agreement_tells_lips_that_follow_from_lips_that_do_not(tmp_path: Path) -> None:
    agreement = LipAgreement([talk_of_loudness(tmp_path / "store")], _Painted(), Ranks())
    scores = agreement.score(lambda mels, faces, references: redden(mels, faces, 0.5))
    assert scores["lip_correlation"] == pytest.approx(1, abs=1e-2)
    assert scores["lip_correlation_shifted"] < 0
    assert scores["lip_gain"] > 1
    assert scores["lip_deviation"] == pytest.approx(0.5, abs=0.05)
    numb = agreement.score(lambda mels, faces, references: faces)
    assert numb["lip_gain"] == 0
    assert "lse_d" not in numb


class _Heeds(nn.Module):
    """An expert that turns loudness, and red of a window's first frame, into an angle."""

    config = SyncExpertConfig()

    def face_encoder(self, faces: torch.Tensor) -> torch.Tensor:
        return self._turn(faces[:, 2].mean((1, 2)))  # BGR

    def audio_encoder(self, mels: torch.Tensor) -> torch.Tensor:
        return self._turn(mels.mean((1, 2, 3)))

    def _turn(self, level: torch.Tensor) -> torch.Tensor:
        return torch.stack([(3 * level).cos(), (3 * level).sin()], dim=1)


def test_an_expert_measures_lse_of_made_and_true_lips(tmp_path: Path) -> None:
    face = talk_of_loudness(tmp_path / "store")
    agreement = LipAgreement([face], _Painted(), Ranks(), _Heeds())
    right = agreement.score(lambda mels, faces, references: redden(mels, faces, 1))
    assert right["true_lse_d"] < 3 / 255  # a level of red is as much
    assert right["true_lse_c"] > 0.1
    assert right["lse_d"] == pytest.approx(right["true_lse_d"], abs=3 / 255)
    assert right["lse_c"] == pytest.approx(right["true_lse_c"], abs=3 / 255)
    numb = agreement.score(lambda mels, faces, references: torch.zeros_like(faces))
    assert numb["lse_d"] > right["lse_d"] + 0.1
    assert numb["true_lse_d"] == right["true_lse_d"]


@pytest.mark.parametrize("num_samples", [1, 3, 4])
def test_ranks_share_samples_out_in_order(num_samples: int) -> None:
    shares = [list(Ranks(rank, 3).share(range(num_samples))) for rank in range(3)]
    assert [number for share in shares for number in share] == list(range(num_samples))
    assert len(shares[0]) >= 1  # it shows its pictures
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def _average(ranks: Ranks, folder: Path) -> None:
    found = [{"l1": float(number)} for number in ranks.share((1, 2, 6))]
    alone = [{"l1": float(number)} for number in ranks.share((5,))]
    averages = [average_samples(each, ranks)["l1"] for each in (found, alone)]
    torch.save(averages, folder / f"{ranks.rank}.pt")


def test_every_sample_counts_the_same_on_whatever_rank(tmp_path: Path) -> None:
    assert run_two(_average, tmp_path) == [[3.0, 5.0], [3.0, 5.0]]
