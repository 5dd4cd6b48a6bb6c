"""What hears lips: as it is shipped, and a small one that has learned nothing."""

from __future__ import annotations

import pytest
import torch

from models.speech.encoder import SpeechEncoder, SpeechEncoderConfig
from models.speech.lip_shapes import LipShapeConfig, LipShapeNet
from retalking.speech.lip_shapes import LipListener


@pytest.fixture(scope="module")
def bundled() -> LipListener:
    return LipListener.from_files()


@pytest.fixture(scope="module")
def untrained(bundled: LipListener) -> LipListener:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechEncoderConfig(num_layers=1)).eval()
    shapes = LipShapeNet(LipShapeConfig(channels=8, dilations=(1,), num_heads=2)).eval()
    return LipListener(encoder, shapes, bundled.voice)
