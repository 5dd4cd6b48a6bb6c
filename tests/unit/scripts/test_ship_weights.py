"""Weights to ship: half precision, strict, with a note."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import weights
from models.speech.audio_opening import AudioOpening, AudioOpeningConfig
from models.weight_files import read_metadata
from scripts.lite.ship_weights import main
from tests.unit.models.tiny_net import TinyConfig, TinyNet


def test_shipped_weights_are_the_same_in_half_precision(tmp_path: Path) -> None:
    net = AudioOpening(AudioOpeningConfig(4, 8)).eval()
    weights.save(tmp_path / "run.safetensors", net)
    target = tmp_path / "lite" / "net.safetensors"
    assert main([str(tmp_path / "run.safetensors"), str(target), "--note", "ten steps"]) == 0
    assert read_metadata(target)["note"] == "ten steps"
    assert target.stat().st_size < 0.7 * (tmp_path / "run.safetensors").stat().st_size
    mels = torch.randn(2, 1, 80, 16)
    again = weights.load(target, AudioOpening).eval()
    torch.testing.assert_close(again(mels), net(mels), rtol=0.02, atol=0.02)


def test_what_is_no_trained_network_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights.save(tmp_path / "x.safetensors", TinyNet(TinyConfig()))
    assert (
        main([str(tmp_path / "x.safetensors"), str(tmp_path / "y.safetensors"), "--note", ""]) == 2
    )
    assert "got class TinyNet, expected one of AudioOpening" in capsys.readouterr().err
    assert not (tmp_path / "y.safetensors").exists()
