"""FID: closed forms, merging, and the network against the pytorch-fid package."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid import fid_score, inception
from torch import Tensor

from retalking.errors import WeightsError
from retalking.metrics.fid import Fid, frechet_distance, load_inception
from retalking.metrics.metric import Clip, ClipChunk, State
from retalking.types import UInt8Array
from tests.rounding import ROOTS
from third_party.inception import FidInception

CPU = torch.device("cpu")


def describe(pictures: Tensor) -> Tensor:
    """Twelve features: random linear readings of the 4 x 4 picture, squared."""
    reading = torch.randn(3 * 16, 12, generator=torch.Generator().manual_seed(1))
    return (torch.nn.functional.adaptive_avg_pool2d(pictures, 4).flatten(1) @ reading).square()


def frames(num: int, seed: int, low: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(low, 256, (num, 8, 8, 3), dtype=np.uint8)


def measure(result: UInt8Array, source: UInt8Array, chunk_size: int = 7) -> State:
    meter = Fid(describe, CPU).start(Clip("talk", 25.0))
    for start in range(0, len(result), chunk_size):
        part = slice(start, start + chunk_size)
        meter.add(ClipChunk(start, result[part], source=source[part]))
    return meter.finish()


def test_distance_of_gaussians_in_closed_form() -> None:
    mean_a, mean_b = np.array([1.0, 2, 3]), np.array([1.0, 0, 3])
    spread_a, spread_b = np.array([4.0, 9, 0]), np.array([1.0, 16, 25])
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    wanted = 4 + np.square(np.sqrt(spread_a) - np.sqrt(spread_b)).sum()
    covariances = [turn @ np.diag(spread) @ turn.T for spread in (spread_a, spread_b)]
    found = frechet_distance(mean_a, covariances[0], mean_b, covariances[1])
    assert found == pytest.approx(wanted, rel=ROOTS)


def test_distance_of_a_set_from_itself_is_zero() -> None:
    pictures = frames(40, seed=0)
    assert abs(Fid(describe, CPU).values(measure(pictures, pictures))["fid"]) < 1e-3
    few = frames(5, seed=0)  # fewer than features: singular covariances
    assert abs(Fid(describe, CPU).values(measure(few, few))["fid"]) < 1e-3


def test_a_singular_covariance_of_full_size_is_zero_from_itself() -> None:
    rows = np.random.default_rng(0).gamma(0.5, 0.8, (60, 300))
    covariance = np.cov(rows, rowvar=False)
    found = frechet_distance(rows[0], covariance, rows[0], covariance)
    assert abs(found) < ROOTS * covariance.trace()


def test_equals_the_package_on_the_same_features() -> None:
    result, source = frames(60, seed=0), frames(60, seed=1, low=60)
    moments = []
    for rgb in (result, source):
        rows = describe(torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255).double().numpy()
        moments += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
    wanted = fid_score.calculate_frechet_distance(*moments)
    found = Fid(describe, CPU).values(measure(result, source))["fid"]
    assert found == pytest.approx(wanted, rel=1e-5)


def test_shards_in_any_order_and_chunks_of_any_size_make_no_difference() -> None:
    metric = Fid(describe, CPU)
    result, source = frames(50, seed=0), frames(50, seed=1, low=60)
    whole = metric.values(measure(result, source))["fid"]
    parts = [measure(result[i : i + 10], source[i : i + 10], 3) for i in (30, 0, 40, 20, 10)]
    merged = functools.reduce(metric.merge, parts)
    assert metric.values(merged)["fid"] == pytest.approx(whole, rel=ROOTS)
    halves = [functools.reduce(metric.merge, some) for some in (parts[:2], parts[2:])]
    again = metric.values(metric.merge(*halves))["fid"]
    assert again == pytest.approx(whole, rel=ROOTS)


def test_a_state_is_small_and_survives_a_file(tmp_path: Path) -> None:
    state = measure(frames(9, seed=0), frames(9, seed=1))
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as stored:
        read = dict(stored)
    metric = Fid(describe, CPU)
    assert metric.values(read) == metric.values(state)
    assert sum(array.nbytes for array in state.values()) < 2 * 9 * 12 * 4 + 100
    many = measure(frames(100, seed=0), frames(100, seed=1))
    assert sum(array.nbytes for array in many.values()) < 2 * (12 * 12 + 12 + 12 * 13) * 8


def test_an_empty_clip_joins_and_one_frame_has_no_distance() -> None:
    metric = Fid(describe, CPU)
    empty = metric.start(Clip("none", 25.0)).finish()
    one = measure(frames(1, seed=0), frames(1, seed=1))
    assert np.isnan(metric.values(metric.merge(empty, one))["fid"])
    two = metric.merge(metric.merge(empty, one), one)
    assert np.isfinite(metric.values(two)["fid"])


def test_network_equals_the_package_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = FidInception().eval()
    for name, value in ours.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.1)
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: ours.state_dict())
    theirs = inception.InceptionV3([3]).eval()
    pictures = torch.rand(2, 3, 90, 120)
    with torch.inference_mode():
        wanted, found = theirs(pictures)[0].flatten(1), ours(pictures)
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_missing_and_wrong_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth \(for FID\) is not here; .*--weights"):
        load_inception({"inception": tmp_path / "absent.pth"}, CPU)
    (tmp_path / "other.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"SHA-256 begins with .*, expected 6726825d"):
        load_inception({"inception": tmp_path / "other.pth"}, CPU)
