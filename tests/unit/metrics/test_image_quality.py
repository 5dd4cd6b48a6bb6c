"""PSNR and SSIM against scikit-image, LPIPS against its package on the same weights."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from retalking.errors import MediaError, WeightsError
from retalking.metrics.image_quality import TrueFrameMetric, psnr_metric, ssim_metric
from retalking.metrics.lpips_distance import load_lpips, lpips_metric
from retalking.metrics.metric import Clip, ClipChunk, State
from retalking.types import UInt8Array
from tests.rounding import SINGLE

CPU = torch.device("cpu")
CLIP = Clip("talk", 25.0)


@pytest.fixture(scope="module")
def frames() -> tuple[UInt8Array, UInt8Array]:
    """Three true frames of a photograph, and noisy ones."""
    photo = data.astronaut()[40:150, 160:290]
    truth = np.stack([photo, photo[::-1], photo[:, ::-1]])
    noise = np.random.default_rng(0).normal(0, 1, truth.shape)
    noise *= np.array([5, 20, 60])[:, None, None, None]
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


def measure(metric: TrueFrameMetric, result: UInt8Array, truth: UInt8Array, size: int = 2) -> State:
    meter = metric.start(CLIP)
    for start in range(0, len(result), size):
        part = slice(start, start + size)
        meter.add(ClipChunk(start, result[part], truth=truth[part]))
    return meter.finish()


def test_psnr_equals_scikit_image(frames: tuple[UInt8Array, UInt8Array]) -> None:
    metric = psnr_metric(CPU)
    wanted = [peak_signal_noise_ratio(b, a) for a, b in zip(*frames, strict=True)]
    assert metric.values(measure(metric, *frames))["psnr"] == pytest.approx(
        np.mean(wanted), abs=1e-4
    )
    assert metric.values(measure(metric, frames[1], frames[1]))["psnr"] == 100


def test_ssim_equals_scikit_image(frames: tuple[UInt8Array, UInt8Array]) -> None:
    metric = ssim_metric(CPU)
    compare = functools.partial(
        structural_similarity,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
        data_range=255,
    )
    wanted = [compare(a, b) for a, b in zip(*frames, strict=True)]
    assert metric.values(measure(metric, *frames))["ssim"] == pytest.approx(
        np.mean(wanted),
        abs=1e-4,  # ours is float32, of values up to 255 squared
    )
    assert metric.values(measure(metric, frames[1], frames[1]))["ssim"] == pytest.approx(1)


def test_shards_and_chunks_make_no_difference(frames: tuple[UInt8Array, UInt8Array]) -> None:
    metric = ssim_metric(CPU)
    result, truth = frames
    whole = metric.values(measure(metric, result, truth, size=3))
    parts = [measure(metric, result[i : i + 1], truth[i : i + 1]) for i in (2, 0, 1)]
    merged = metric.values(functools.reduce(metric.merge, parts))
    assert merged["ssim"] == pytest.approx(whole["ssim"], rel=SINGLE)


def test_frames_of_another_size_are_refused(frames: tuple[UInt8Array, UInt8Array]) -> None:
    with pytest.raises(MediaError, match=r"truth: got frames .* like the result's"):
        ClipChunk(0, frames[0], truth=frames[1][:, :50])


def test_a_clip_without_frames_is_named() -> None:
    with pytest.raises(MediaError, match="talk: no frame in which psnr can be measured"):
        psnr_metric(CPU).start(CLIP).finish()


def test_lpips_equals_its_package(
    tmp_path: Path, frames: tuple[UInt8Array, UInt8Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    features = {
        f"features.{name.split('.', 1)[1]}": value
        for name, value in package.net.state_dict().items()
    }
    blank = copy.deepcopy(package)
    for value in blank.net.state_dict().values():
        value.zero_()
    monkeypatch.setattr(lpips, "LPIPS", lambda **_: copy.deepcopy(blank))  # AlexNet builds slowly
    path = tmp_path / "alexnet.pth"
    torch.save({**features, "classifier.6.bias": torch.zeros(1000)}, path)
    monkeypatch.setattr("retalking.weights.catalogue.sha256_of", lambda _: "7be5be79")
    metric = lpips_metric(load_lpips({"alexnet": path}, CPU), CPU)
    pictures = [torch.from_numpy(rgb).permute(0, 3, 1, 2) / 127.5 - 1 for rgb in frames]
    with torch.inference_mode():
        wanted = package(*pictures).mean().item()
    assert wanted > 0
    found = metric.values(measure(metric, *frames))["lpips"]
    assert found == pytest.approx(wanted, rel=1e-4)
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not torchvision's AlexNet"):
        load_lpips({"alexnet": path}, CPU)


def test_missing_and_wrong_lpips_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.pth"
    with pytest.raises(WeightsError, match=r"not here; run: .*--only alexnet; or .*alexnet=FILE"):
        load_lpips({"alexnet": path}, CPU)
    path.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"SHA-256 begins with .*, expected 7be5be79"):
        load_lpips({"alexnet": path}, CPU)
