"""What the re-implemented networks do beyond reproducing golden numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models import weights
from retalking.errors import ConfigError
from tests.rounding import NETWORK, SINGLE
from third_party import arcface, face3d, ganimation, gfpgan, gpen, parsenet, retinaface, s3fd
from third_party.anchors import decode_boxes, decode_points, grid_anchors, select_best
from third_party.gpen.layers import Blur, Upsample, fir_kernel
from third_party.retinaface.detection import make_anchors
from third_party.retinaface.network import RawOutputs
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


def test_anchors_run_by_row_column_side() -> None:
    anchors = grid_anchors(2, 3, 8, (16, 32))
    assert anchors.shape == (12, 4)
    assert anchors[1].tolist() == [4, 4, 32, 32]
    assert anchors[2].tolist() == [12, 4, 16, 16]
    assert anchors[6].tolist() == [4, 12, 16, 16]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (250, 333), (7, 1)])
@torch.no_grad()
def test_retinaface_has_an_anchor_for_each_output(height: int, width: int) -> None:
    network = retinaface.RetinaFace(retinaface.RetinaFaceConfig((1, 1, 1, 1), 8)).eval()
    raw = network(torch.randn(2, 3, height, width))
    count = len(make_anchors(height, width))
    assert [tuple(part.shape) for part in raw] == [(2, count, 4), (2, count, 2), (2, count, 10)]


def test_zero_offsets_decode_to_the_anchor() -> None:
    anchors = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    assert decode_boxes(torch.zeros(3, 1, 4), anchors)[2, 0].tolist() == [8, 16, 12, 24]
    assert decode_points(torch.zeros(1, 10), anchors).tolist() == [[[10, 20]] * 5]


def test_offsets_are_shares_of_the_anchor() -> None:
    anchors = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    grown = torch.tensor([[10.0, 0.0, float(np.log(2)) / 0.2, 0.0]])
    torch.testing.assert_close(
        decode_boxes(grown, anchors), torch.tensor([[10.0, 16.0, 18.0, 24.0]])
    )


def suppress_slowly(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], max_overlap: float, border: float
) -> list[int]:
    """Greedy suppression by its definition."""
    kept: list[int] = []
    for index in np.argsort(-scores):
        x1, y1, x2, y2 = boxes[index]
        for other in kept:
            u1, v1, u2, v2 = boxes[other]
            width = min(x2, u2) - max(x1, u1) + border
            height = min(y2, v2) - max(y1, v1) + border
            shared = max(width, 0) * max(height, 0)
            area = (x2 - x1 + border) * (y2 - y1 + border)
            area += (u2 - u1 + border) * (v2 - v1 + border)
            if shared / (area - shared) > max_overlap:
                break
        else:
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("pixel_areas", [False, True])
def test_suppression_equals_its_definition(pixel_areas: bool) -> None:
    corners = torch.rand(200, 2) * 40
    boxes = torch.cat([corners, corners + torch.rand(200, 2) * 20], dim=1)
    scores = torch.rand(200)
    got = select_best(boxes, scores, 0.4, pixel_areas=pixel_areas).tolist()
    expected = suppress_slowly(boxes.numpy(), scores.numpy(), 0.4, 1.0 if pixel_areas else 0.0)
    assert got == expected
    assert 10 < len(got) < 200


@pytest.mark.parametrize(
    ("picture", "network"),
    [((900, 1500), (900, 1500)), ((900, 1600), (562, 1000)), ((1600, 900), (1000, 562))],
)
def test_large_pictures_are_reduced(picture: tuple[int, int], network: tuple[int, int]) -> None:
    assert retinaface.DetectionConfig().network_size(*picture) == network
    assert retinaface.DetectionConfig(max_side_px=None).network_size(*picture) == picture


class OneFaceRetina(retinaface.RetinaFace):
    """Sees in every picture one face, exactly at the third anchor, and records its input."""

    def __init__(self) -> None:
        super().__init__(retinaface.RetinaFaceConfig((1, 1, 1, 1), 4))

    def forward(self, images: Tensor) -> RawOutputs:
        self.seen = images
        batch, count = len(images), len(make_anchors(*images.shape[2:]))
        scores = torch.zeros(batch, count, 2)
        scores[:, 2, 1] = 0.95
        return RawOutputs(torch.zeros(batch, count, 4), scores, torch.zeros(batch, count, 10))


def test_retinaface_reports_places_in_the_picture() -> None:
    images = np.zeros((2, 100, 200, 3), np.uint8)
    images[..., 0] = 255  # red
    network = OneFaceRetina()
    config = retinaface.DetectionConfig(max_side_px=150, reduced_side_px=100)
    for faces in network.detect(images, config):
        np.testing.assert_allclose(faces.boxes_px, [[8, -8, 40, 24]])
        np.testing.assert_allclose(faces.points_px, [[[24, 8]] * 5])
        np.testing.assert_allclose(faces.scores, [0.95])
        assert len(faces) == 1
    assert network.seen.shape == (2, 3, 50, 100)
    torch.testing.assert_close(network.seen[0, :, 0, 0], torch.tensor([-104.0, -117.0, 132.0]))


def test_retinaface_without_a_face_reports_none() -> None:
    config = retinaface.DetectionConfig(min_score=0.96)
    (faces,) = OneFaceRetina().detect(np.zeros((1, 64, 64, 3), np.uint8), config)
    assert len(faces) == 0
    assert faces.boxes_px.shape == (0, 4)
    assert faces.points_px.shape == (0, 5, 2)


class OneFaceS3FD(s3fd.S3FD):
    """Sees one face at the second cell of the second stride, and a doubtful one beside it."""

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        self.seen = images
        outputs = []
        for stride in (4, 8, 16, 32, 64, 128):
            size = max(images.shape[2] // stride, 1)
            logits = torch.zeros(1, 2, size, size)
            logits[:, 0] = 20.0
            outputs.append((logits, torch.zeros(1, 4, size, size)))
        outputs[1][0][0, :, 0, 1] = torch.tensor([0.0, 3.0])
        outputs[1][0][0, :, 6, 6] = torch.tensor([2.0, 0.0])
        return outputs


def test_s3fd_keeps_upstreams_colours_and_reports_places() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    images[..., 0] = 255
    network = OneFaceS3FD()
    (faces,) = network.detect(images)
    np.testing.assert_allclose(faces.boxes_px, [[12 - 16, 4 - 16, 12 + 16, 4 + 16]])
    assert faces.scores[0] == pytest.approx(1 / (1 + np.exp(-3.0)), rel=1e-5)
    assert faces.points_px.shape == (1, 0, 2)
    torch.testing.assert_close(network.seen[0, :, 0, 0], torch.tensor([151.0, -117.0, -123.0]))
    doubtful_too = dataclasses.replace(s3fd.DetectionConfig(), min_score=0.1)
    assert len(network.detect(images, doubtful_too)[0]) == 2


@pytest.mark.parametrize("images", [np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)])
def test_detectors_refuse_other_arrays(images: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"images: got .* expected RGB uint8\[B, H, W, 3\]"):
        OneFaceRetina().detect(images)
