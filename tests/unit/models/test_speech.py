from __future__ import annotations

import pytest
import torch

from models.speech.encoder import (
    FIELD_SAMPLES,
    FIRST_CENTRE,
    SAMPLES_PER_STATE,
    SpeechEncoder,
    SpeechEncoderConfig,
    rotation,
)
from models.speech.lip_shapes import LipShapeConfig, LipShapeNet
from retalking.errors import ConfigError


@pytest.mark.parametrize("extra", [0, 1, 383, 384, 1000])
def test_states_lie_where_the_constants_say(extra: int) -> None:
    encoder = SpeechEncoder(SpeechEncoderConfig(1)).eval()
    samples = torch.randn(1, FIELD_SAMPLES + extra)
    with torch.no_grad():
        assert encoder(samples).shape == (1, 1 + extra // SAMPLES_PER_STATE, 288)
    assert FIRST_CENTRE == FIELD_SAMPLES // 2


def test_a_sound_is_found_in_the_states_around_it() -> None:
    encoder = SpeechEncoder(SpeechEncoderConfig(1)).eval()
    samples = 1e-3 * torch.randn(1, 16_000)
    state = 20
    click = FIRST_CENTRE + SAMPLES_PER_STATE * state
    samples[:, click - 30 : click + 30] += 1.0
    with torch.no_grad():
        sounds = encoder.sounds(samples)[0]
    strange = (sounds - sounds.median(dim=0).values).norm(dim=1)
    assert int(strange.argmax()) == state


def test_positions_are_relative() -> None:
    layer = SpeechEncoder(SpeechEncoderConfig(1)).eval().layers[0]
    states = torch.randn(1, 12, 288)
    turn = rotation(torch.zeros(1, 40, 288))
    with torch.no_grad():
        first, later = (layer(states, turn[:, start : start + 12]) for start in (0, 25))
    torch.testing.assert_close(first, later, atol=1e-4, rtol=1e-4)


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_layers: got 7, expected 1 to 6"):
        SpeechEncoderConfig(7)


def test_heads_that_disagree_are_unsure() -> None:
    net = LipShapeNet(LipShapeConfig(4, channels=8, dilations=(1,), num_heads=2)).eval()
    heard = torch.randn(1, 4, 10)
    with torch.no_grad():
        before = net(heard)
        each = net.guess_each(heard)
        net.heads[0].shapes.bias += 1.0
        after = net(heard)
    torch.testing.assert_close(before.mean, each.mean.mean(dim=0))
    torch.testing.assert_close(after.mean, before.mean + 0.5)
    gap = (each.mean[0] - each.mean[1]) / 2
    grown = (gap + 0.5).square() - gap.square()
    torch.testing.assert_close(after.variance, before.variance + grown, atol=1e-5, rtol=1e-4)
