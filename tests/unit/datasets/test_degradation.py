"""What E-Net is trained against: compression, shrinking, noise."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.enet import ENetDataset, degrade
from datasets.lnet import LNetDataset
from datasets.store.jpeg import compress, quantisation_steps
from retalking.errors import ConfigError
from tests.media import moving_picture
from tests.unit.datasets.samples import enet_settings, frames_in, lnet_settings, write_reddened


def test_enet_adds_quality_and_noise_to_lnets_sample(folder: Path) -> None:
    dataset = ENetDataset(enet_settings(folder), 0)
    lips, faces = LNetDataset(lnet_settings(folder), 0)[4], dataset[4]
    for name in ("faces", "references", "mels", "landmarks_px"):
        assert torch.equal(getattr(lips, name), getattr(faces, name))
    assert 60 <= faces.jpeg_quality <= 90
    seeds = torch.cat([faces.noise_seeds, dataset[5].noise_seeds])
    assert len(seeds.unique()) == 2 * len(lips.openings)


def test_enet_takes_enhanced_frames_if_asked(folder: Path) -> None:
    settings = enet_settings(folder).model_copy(update={"enhanced": True})
    with pytest.raises(ConfigError, match="part enhanced_32 is prepared"):
        ENetDataset(settings, 0)
    write_reddened(folder, "enhanced_32")
    sharp, plain = ENetDataset(settings, 0)[0], ENetDataset(enet_settings(folder), 0)[0]
    assert frames_in(sharp.faces) == frames_in(plain.faces)
    assert sharp.faces[:, 0].mean() > plain.faces[:, 0].mean() + 0.2


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_compression_is_that_of_libjpeg(quality: int) -> None:
    picture = moving_picture(3, 96, 80)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    image = Image.open(buffer)
    expected = np.asarray(image).astype(np.float32)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    found = compress(tensor, torch.tensor([float(quality)]))[0].permute(1, 2, 0) * 255
    # libjpeg rounds colours to whole numbers on the way, which moves some coefficients by a
    # step, and which ones depends on the last bit: 0.68 and 0.11 were seen.
    assert np.abs(found.numpy() - expected).mean() < 1
    assert np.abs(found.numpy() - picture).mean() == pytest.approx(
        np.abs(expected - picture).mean(), abs=0.25
    )
    tables = quantisation_steps(tensor, torch.tensor([float(quality)]))[0].flatten(1)
    for theirs, ours in zip((image.quantization[0], image.quantization[1]), tables, strict=False):
        assert sorted(theirs) == sorted(ours.int().tolist())


def test_compression_lets_gradients_through_and_keeps_odd_sizes() -> None:
    picture = torch.rand(2, 3, 21, 30, requires_grad=True)
    packed = compress(picture, torch.tensor([40.0, 90.0]))
    assert packed.shape == picture.shape
    packed.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_degradation_shrinks_and_loses_detail() -> None:
    sharp = torch.from_numpy(moving_picture(2, 96, 96)).permute(2, 0, 1)[None].float() / 255
    low, high = (degrade(sharp, torch.tensor([q]), 24) for q in (10.0, 95.0))
    plain = torch.nn.functional.interpolate(sharp, (24, 24), mode="bilinear")
    assert low.shape == (1, 3, 24, 24)
    assert (high - plain).abs().mean() < (low - plain).abs().mean()
    assert (high - plain).abs().mean() < 0.01
