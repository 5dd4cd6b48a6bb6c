"""Landmarks are followed into pictures on the device as into those on the host."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from face_alignment.models import FAN

from retalking.face.face_alignment_package import FanLandmarker
from retalking.face.landmarks import LiteLandmarker
from retalking.mouth.networks.device_landmarks import DeviceLandmarker, follow
from retalking.networks.runner import Runner
from retalking.rendering.on_device.pictures import to_planes
from tests.faces import frontal_landmarks

CPU = torch.device("cpu")
PICTURES = np.stack([skimage.data.astronaut()[k : k + 256, 90:346] for k in (0, 8, 16)])
FACES = [frontal_landmarks(46, 4) + np.array([130, 108 - k]) for k in (0, 8, 16)]
STARTS = np.stack(FACES).astype(np.float32)


def fan() -> FanLandmarker:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FanLandmarker(FAN(1).eval(), CPU)


@pytest.mark.parametrize("make", [LiteLandmarker.from_file, fan])
def test_the_same_points_are_found(make: type[DeviceLandmarker]) -> None:
    landmarker, runner = make(), Runner(CPU, torch.bfloat16, 2)
    expected, _ = landmarker.follow(PICTURES, STARTS)  # type: ignore[union-attr]
    pictures, run = to_planes(torch.from_numpy(PICTURES)), runner.for_frames(np.arange(3), True)
    with torch.inference_mode():
        found = follow(runner, run, landmarker, pictures, STARTS)
    assert found.dtype == np.float32
    width = found.shape[2]
    # FAN's are whole pixels; one on the edge of two may fall to either side.
    assert np.abs(found - expected[..., :width]).max() < (1.01 if width == 2 else 0.3)
    assert np.abs(found - expected[..., :width]).mean() < 0.05
    assert np.abs(expected - expected[0]).max() > 1
    assert runner.traffic.num_fetched == 1
