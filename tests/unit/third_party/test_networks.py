"""What the re-implemented networks do beyond reproducing golden numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import weights
from retalking.errors import ConfigError
from tests.rounding import NETWORK, SINGLE
from third_party import arcface, face3d, ganimation, gfpgan, gpen, parsenet, retinaface
from third_party.gpen.layers import Blur, Upsample, fir_kernel
from third_party.stylegan2 import modulated_conv2d

SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "ArcFace": (
        lambda: arcface.ArcFace(arcface.ArcFaceConfig(8, (1, 1), embedding_dim=16, input_px=16)),
        ((2, 3, 16, 16),),
    ),
    "Face3D": (
        lambda: face3d.Face3D(face3d.Face3DConfig(stage_depths=(1, 1, 1, 1))),
        ((2, 3, 64, 64),),
    ),
    "GANimation": (
        lambda: ganimation.GANimation(ganimation.GANimationConfig(base_channels=8, num_blocks=1)),
        ((2, 3, 16, 16), (2, 17)),
    ),
    "GFPGAN": (
        lambda: gfpgan.GFPGAN(gfpgan.GFPGANConfig(32, style_dim=16, narrow=1 / 16)),
        ((2, 3, 32, 32),),
    ),
    "GPEN": (
        lambda: gpen.GPEN(gpen.GPENConfig(32, style_dim=16, narrow=1 / 16)),
        ((2, 3, 32, 32),),
    ),
    "ParseNet": (
        lambda: parsenet.ParseNet(parsenet.ParseNetConfig(8, 16, num_halvings=2, body_depth=1)),
        ((2, 3, 16, 16),),
    ),
}


def make_small(name: str) -> tuple[nn.Module, list[Tensor]]:
    build, shapes = SMALL[name]
    network = build().eval()
    with torch.no_grad():  # zero-initialised biases and noise strengths would hide mistakes
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network, [torch.rand(shape) for shape in shapes]


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_result_of_a_face_does_not_depend_on_its_batch(name: str) -> None:
    network, inputs = make_small(name)
    alone = torch.cat([network(*(x[i : i + 1] for x in inputs)) for i in range(2)])
    torch.testing.assert_close(network(*inputs), alone, rtol=NETWORK, atol=NETWORK)


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_memory_layout_and_mixed_precision_keep_the_result(name: str) -> None:
    network, inputs = make_small(name)
    expected = network(*inputs)
    network = network.to(memory_format=torch.channels_last)
    inputs[0] = inputs[0].to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(*inputs), expected, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(*inputs).float()
    assert (mixed - expected).square().mean().sqrt() < 0.1 * expected.std()


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_saved_network_comes_back_with_its_config(name: str, tmp_path: Path) -> None:
    network, inputs = make_small(name)
    weights.save(tmp_path / "net.safetensors", network)
    loaded = weights.load(tmp_path / "net.safetensors", type(network))
    assert loaded.config == network.config
    assert torch.equal(loaded(*inputs), network(*inputs))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_modulated_convolution_equals_a_weight_per_sample(transposed: bool, training: bool) -> None:
    x, weight, style = torch.randn(2, 4, 6, 5), torch.randn(3, 4, 3, 3), torch.rand(2, 4) + 0.5
    bias = torch.randn(3)
    with torch.set_grad_enabled(training):
        got, more = (
            modulated_conv2d(x, weight, style, transposed=transposed, **extra)
            for extra in ({}, {"gain": 1.5, "bias": bias})
        )
        plain = modulated_conv2d(x, weight, style, demodulate=False, gain=2)
    torch.testing.assert_close(more, 1.5 * got + bias[:, None, None])
    scaled = F.conv2d(x * style[:, :, None, None], weight, padding=1)
    torch.testing.assert_close(plain, 2 * scaled, rtol=SINGLE, atol=10 * SINGLE)
    for sample in range(2):
        own = weight * style[sample][:, None, None]
        own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if transposed:
            expected = F.conv_transpose2d(x[sample : sample + 1], own.transpose(0, 1), stride=2)
        else:
            expected = F.conv2d(x[sample : sample + 1], own, padding=1)
        torch.testing.assert_close(
            got[sample : sample + 1], expected, rtol=SINGLE, atol=10 * SINGLE
        )


def test_fir_doubling_is_zero_stuffing_and_low_pass() -> None:
    x = torch.randn(1, 2, 3, 4)
    stuffed = torch.zeros(1, 2, 6, 8)
    stuffed[..., ::2, ::2] = x
    kernel = fir_kernel(gain=4.0).expand(2, 1, 4, 4)
    expected = F.conv2d(F.pad(stuffed, (2, 1, 2, 1)), kernel, groups=2)
    torch.testing.assert_close(Upsample()(x), expected)


def test_blur_keeps_a_constant_inside() -> None:
    torch.testing.assert_close(Blur(padding=0)(torch.ones(1, 3, 8, 8)), torch.ones(1, 3, 5, 5))


def test_gfpgan_noise_is_fixed_unless_a_generator_is_given() -> None:
    network, (faces,) = make_small("GFPGAN")
    assert torch.equal(network(faces), network(faces))
    drawn = [network(faces, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], network(faces))


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (gfpgan.GFPGANConfig, "size_px", 500),
        (gpen.GPENConfig, "size_px", 4),
        (arcface.ArcFaceConfig, "input_px", 100),
        (retinaface.RetinaFaceConfig, "pyramid_channels", 30),
    ],
)
def test_impossible_config_is_refused(config: type[Any], field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field}: got {value}, expected"):
        config(**{field: value})


def test_morphable_coefficients_are_split_at_the_published_places() -> None:
    parts = face3d.MorphableCoefficients.split(torch.arange(257.0)[None])
    first_and_last = [(int(part[0, 0]), int(part[0, -1])) for part in parts]
    assert first_and_last == [(0, 79), (80, 143), (144, 223), (224, 226), (227, 253), (254, 256)]


def test_arcface_has_the_layout_of_insightface() -> None:
    with torch.device("meta"):
        network = arcface.ArcFace()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 43.59
    assert shapes["layer3.13.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer1.0.downsample.0.weight"] == (64, 64, 1, 1)
    assert "layer1.1.downsample.0.weight" not in shapes
    assert shapes["fc.weight"] == (512, 512 * 7 * 7)
    assert shapes["features.running_mean"] == (512,)


def test_arcface_embeds_on_the_unit_sphere() -> None:
    network, (faces,) = make_small("ArcFace")
    embeddings = network.embed(faces)
    assert embeddings.shape == (2, 16)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(embeddings, F.normalize(network(faces), dim=1))


def test_expression_sets_its_action_unit_only() -> None:
    aus = ganimation.expression_aus("angry")
    assert aus.shape == (1, 17)
    assert aus[0, ganimation.ACTION_UNITS.index(4)] == pytest.approx(0.3)
    assert int((aus != 0).sum()) == 1


def test_unknown_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="'happy', expected one of sad, angry, surprise"):
        ganimation.expression_aus("happy")
