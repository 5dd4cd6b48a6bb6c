"""CPBD against the package whose scores the tables compare with."""

from __future__ import annotations

import cpbd as package
import numpy as np
import pytest
from cpbd.compute import marziliano_method
from cpbd.octave import sobel
from scipy.ndimage import gaussian_filter
from skimage import data

from retalking.metrics.cpbd import Cpbd, cpbd, edge_widths
from retalking.metrics.metric import Clip, ClipChunk
from retalking.types import UInt8Array
from tests.rounding import DOUBLE

STEPS = np.tile(np.repeat([0, 60, 120, 200], 32), (128, 1)).astype(np.uint8)
RAMP = np.tile(np.r_[:110, 125, 141:251], (70, 1)).astype(np.uint8)
RAMP[0] += 1


def noise(sigma_px: float, deviation: float) -> UInt8Array:
    rough = np.random.default_rng(0).normal(0, deviation, (150, 201))
    return np.clip(128 + gaussian_filter(rough, sigma_px), 0, 255).astype(np.uint8)


PICTURES = {
    "photo": data.camera()[::2, ::2],
    "noise": noise(0, 60),
    "low contrast": noise(1, 12),
    "soft": noise(1.5, 200),
    "steps up": STEPS,
    "steps down": STEPS[:, ::-1].copy(),
    "ramp longer than a flank": RAMP,
    "ramp down": RAMP[:, ::-1].copy(),
    "flat": np.full((100, 100), 7, np.uint8),
}


@pytest.mark.parametrize("name", PICTURES)
def test_equals_the_cpbd_package(name: str) -> None:
    grey = PICTURES[name]
    assert cpbd(grey) == pytest.approx(package.compute(grey), abs=DOUBLE)
    image = grey.astype(np.float64)
    np.testing.assert_array_equal(edge_widths(image), marziliano_method(sobel(image), image))


def test_pictures_cover_the_scale() -> None:
    scores = {name: cpbd(grey) for name, grey in PICTURES.items()}
    assert scores["noise"] > 0.85 > scores["photo"] > 0.5 > scores["soft"] > 0
    assert edge_widths(RAMP.astype(np.float64)).max() == 202


def test_a_picture_smaller_than_a_block_scores_nothing() -> None:
    assert cpbd(noise(0, 60)[:63]) == 0.0


def test_metric_is_the_mean_over_grey_frames() -> None:
    frames = np.stack([np.repeat(noise(s, 60)[..., None], 3, 2) for s in (0, 1, 2)])
    metric = Cpbd()
    meter = metric.start(Clip("talk", 25.0))
    meter.add(ClipChunk(0, frames[:2]))
    meter.add(ClipChunk(2, frames[2:]))
    wanted = np.mean([cpbd(frame[..., 0]) for frame in frames])
    assert metric.values(meter.finish())["cpbd"] == pytest.approx(wanted, abs=DOUBLE)
