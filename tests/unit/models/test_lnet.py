"""L-Net at small widths: what it answers to, and what it leaves alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from models.enet import ENet
from models.lnet import LNet
from retalking.errors import ConfigError
from tests.rounding import NETWORK
from tests.unit.models.networks import ENET, LNET, lnet_inputs


def test_lnet_attention_can_be_left_out() -> None:
    attention, concat = LNet(LNET), LNet(dataclasses.replace(LNET, fusion="concat"))
    gone = set(attention.state_dict()) - set(concat.state_dict())
    assert gone
    assert all(key.startswith("encoder.ca2.") for key in gone)
    assert set(concat.state_dict()) <= set(attention.state_dict())


def test_lnet_attends_at_the_levels_asked_for() -> None:
    network = LNet(dataclasses.replace(LNET, attention_levels=(1, 2))).eval()
    assert {key.split(".")[1] for key in network.state_dict() if ".ca" in key} == {"ca1", "ca2"}
    assert network(*lnet_inputs()).shape == (2, 3, 32, 32)


def test_lnet_answers_to_audio_reference_and_face() -> None:
    network = LNet(LNET).eval()
    mel, faces = lnet_inputs()
    with torch.inference_mode():
        base = network(mel, faces)
        assert base.min() >= 0
        assert base.max() <= 1
        assert not torch.allclose(base, network(mel.flip(0), faces), atol=1e-7)
        for channel in (0, 3):
            changed = faces.clone()
            changed[:, channel] = 1 - changed[:, channel]
            assert not torch.allclose(base, network(mel, changed), atol=1e-6)


def test_lnet_paints_on_the_faces_it_is_given() -> None:
    config = dataclasses.replace(LNET, paints_on_faces=True, reference_skips=True)
    mel, faces = lnet_inputs()
    plain = LNet(dataclasses.replace(config, spectral_norm=False)).eval()
    for parameter in plain.decoder.final.parameters():
        nn.init.zeros_(parameter)
    out = plain(mel, faces)
    torch.testing.assert_close(out[:, :, :16], faces[:, :3, :16])
    torch.testing.assert_close(out[:, :, 16:], faces[:, 3:, 16:])
    for parameter in plain.decoder.final.parameters():
        nn.init.constant_(parameter, 5.0)
    assert plain(mel, faces).max() <= 1
    assert plain.train()(mel, faces).max() > 1


def test_video_equals_its_frames() -> None:
    lnet, enet = LNet(LNET).eval(), ENet(ENET).eval()
    mel = torch.randn(2, 3, 1, 80, 16)
    small, faces = torch.rand(2, 6, 3, 32, 32), torch.rand(2, 6, 3, 128, 128)
    reference = faces[:, 3:]
    with torch.inference_mode():
        lips = lnet(mel, small)
        video = enet(mel, faces, reference)
        for frame in range(3):
            one = lnet(mel[:, frame], small[:, :, frame])
            torch.testing.assert_close(lips[:, :, frame], one, rtol=NETWORK, atol=NETWORK)
            still = enet(mel[:, frame], faces[:, :, frame], reference[:, :, frame])
            for moving, single in zip(video, still, strict=True):
                torch.testing.assert_close(moving[:, :, frame], single, rtol=NETWORK, atol=NETWORK)


def test_lnet_refuses_an_odd_size() -> None:
    mel, faces = lnet_inputs()
    with pytest.raises(ConfigError, match=r"L-Net: faces of 30x32 px, expected multiples of 8"):
        LNet(LNET)(mel, faces[:, :, :30])
