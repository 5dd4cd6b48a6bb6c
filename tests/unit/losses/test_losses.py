"""Every criterion against a value worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from losses.perceptual import (
    FeaturePyramid,
    LayerFeatures,
    Vgg19Features,
    load_vgg19,
    perceptual,
)
from losses.reconstruction import gradient_l1, l1, weighted_l1
from losses.style import gram, style
from losses.weighted_sum import mean_terms, weighted_sum
from retalking.errors import WeightsError


class Pass(nn.Module):
    """A teacher with one layer that returns its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


# reconstruction


def test_l1_is_the_mean_difference() -> None:
    assert l1(torch.full((2, 3, 4, 4), 0.75), torch.full((2, 3, 4, 4), 0.5)).item() == 0.25


def test_weighted_l1_counts_only_the_weighted_pixels() -> None:
    output = torch.zeros(2, 3, 4, 4)
    output[0, :, 0, 0] = 1.0  # inside the mask of the first sample
    output[0, :, 3, 3] = 9.0  # outside
    output[1] = 5.0  # its mask is empty
    weight = torch.zeros(2, 1, 4, 4)
    weight[0, :, 0, :2] = 1.0
    loss = weighted_l1(output, torch.zeros_like(output), weight)
    assert loss.item() == pytest.approx((0.5 + 0.0) / 2)


def test_weighted_l1_is_the_mean_of_its_samples() -> None:
    output, weight = torch.rand(4, 3, 5, 5), torch.rand(4, 1, 5, 5)
    target = torch.rand_like(output)
    parts = [weighted_l1(output[i : i + 2], target[i : i + 2], weight[i : i + 2]) for i in (0, 2)]
    torch.testing.assert_close(weighted_l1(output, target, weight), torch.stack(parts).mean())


def test_gradient_l1_sees_edges_but_no_offset() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert gradient_l1(ramp + 3, ramp).item() == 0
    assert gradient_l1(2 * ramp, torch.zeros_like(ramp)).item() == 2  # horizontal only


# perceptual and style


def test_vgg19_matches_torchvision(tmp_path: Path) -> None:
    vgg = pytest.importorskip("torchvision.models.vgg")
    reference = vgg.make_layers(vgg.cfgs["E"])[:30]
    file = tmp_path / "vgg19.pth"
    stored = {f"features.{key}": value for key, value in reference.state_dict().items()}
    torch.save(stored | {"classifier.0.bias": torch.zeros(1)}, file)
    image = torch.rand(1, 3, 16, 24)
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    wanted = []
    for index, layer in enumerate(reference):
        x = layer(x.clone())
        if index in (1, 6, 11, 20, 29):
            wanted.append(x.clone())
    teacher = load_vgg19(file)
    maps = teacher(image)
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512]
    for got, want in zip(maps, wanted, strict=True):
        torch.testing.assert_close(got, want)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_vgg19_file_faults(tmp_path: Path) -> None:
    file = tmp_path / "vgg19.pth"
    with pytest.raises(WeightsError, match=r"vgg19\.pth does not exist.*set 'perceptual: none'"):
        load_vgg19(file)
    file.write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match=r"no VGG-19 teacher.*truncated"):
        load_vgg19(file)
    torch.save({"features.0.weight": torch.zeros(64, 3, 5, 5)}, file)
    with pytest.raises(WeightsError, match=r"not the weights of VGG-19.*features"):
        load_vgg19(file)


def test_pyramid_halves_the_picture() -> None:
    pyramid = FeaturePyramid(LayerFeatures(Pass(), ["layer"]), num_scales=3)
    image = torch.arange(64.0).view(1, 1, 8, 8)
    maps = pyramid(image)
    assert [m.shape[-1] for m in maps] == [8, 4, 2]
    torch.testing.assert_close(maps[1], F.avg_pool2d(image, 2))


def test_pyramid_refuses_a_picture_that_gets_too_small() -> None:
    pyramid = FeaturePyramid(Vgg19Features(), num_scales=4)
    with pytest.raises(ValueError, match=r"shrinks to 12 px at scale 4; the teacher needs 16 px"):
        pyramid(torch.zeros(1, 3, 96, 96))


def test_perceptual_sums_scales_and_layers() -> None:
    pyramid = FeaturePyramid(LayerFeatures(Pass(), ["layer"]), num_scales=2)
    output, target = pyramid(torch.full((2, 3, 8, 8), 0.5)), pyramid(torch.zeros(2, 3, 8, 8))
    assert perceptual(output, target).item() == 1.0
    assert perceptual(output, target, "mse").item() == 0.5


def test_perceptual_gradient_reaches_the_picture_but_not_the_teacher() -> None:
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    pyramid = FeaturePyramid(LayerFeatures(teacher, ["1"], min_size_px=3), num_scales=1)
    image = torch.rand(1, 3, 6, 6, requires_grad=True)
    perceptual(pyramid(image), [torch.zeros(1, 4, 4, 4)]).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


def test_gram_of_orthogonal_channels_is_diagonal() -> None:
    activation = torch.eye(4).view(1, 4, 2, 2)
    torch.testing.assert_close(gram(activation), torch.eye(4)[None] / 16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gram_of_half_precision_is_that_of_single(dtype: torch.dtype) -> None:
    activation = (torch.rand(1, 4, 32, 32) * 40).to(dtype)  # their squares add up to 500,000
    with torch.autocast("cpu", dtype):
        halved, single = gram(activation), gram(activation.float())
    assert halved.dtype == torch.float32
    torch.testing.assert_close(halved, single, rtol=1e-5, atol=0)  # orders of summation
    flat = activation.double().flatten(2)
    torch.testing.assert_close(single.double(), flat @ flat.mT / 4096, rtol=1e-5, atol=0)


def test_style_is_taken_at_full_scale() -> None:
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    pyramid = FeaturePyramid(LayerFeatures(teacher, ["0", "1"], min_size_px=3), num_scales=3)
    maps = pyramid(torch.rand(1, 3, 16, 16))
    assert [part.shape[2] for part in maps] == [14, 14, 6, 6, 2, 2]
    assert [part.shape[1:] for part in pyramid.full_scale(maps)] == [(4, 14, 14), (2, 14, 14)]


def test_style_ignores_where_things_are() -> None:
    a = torch.rand(2, 3, 4, 4)
    assert style([a], [a.flip(-1)]).item() == pytest.approx(0, abs=1e-7)
    # One channel: Gram of a constant c is c^2.
    one = [torch.full((1, 1, 4, 4), 2.0), torch.full((1, 1, 2, 2), 3.0)]
    zero = [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)]
    assert style(one, zero).item() == 4 + 9


# adversarial


def test_adversarial_games_at_known_scores() -> None:
    zero = torch.zeros(4, 1)
    assert discriminator_loss(zero, zero, "minimax").item() == pytest.approx(2 * math.log(2))
    assert discriminator_loss(zero, zero, "non_saturating").item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zero, "minimax").item() == pytest.approx(-math.log(2))
    assert generator_loss(zero, "non_saturating").item() == pytest.approx(math.log(2))
    assert discriminator_loss(zero + 0.5, zero - 3, "hinge").item() == 0.5
    assert generator_loss(zero + 2, "hinge").item() == -2


@pytest.mark.parametrize("game", ["minimax", "non_saturating", "hinge"])
def test_generator_is_pushed_towards_higher_scores(game: str) -> None:
    score = torch.tensor([-3.0], requires_grad=True)
    generator_loss(score, game).backward()  # type: ignore[arg-type]
    assert score.grad is not None
    assert score.grad < 0
    if game == "minimax":  # vanishing, as sigmoid(-3)
        assert score.grad.item() == pytest.approx(-1 / (1 + math.exp(3)))


def test_r1_of_a_linear_score() -> None:
    weight = torch.rand(3, 4, 4)
    real = torch.rand(2, 3, 4, 4, requires_grad=True)
    penalty = r1_penalty((real * weight).sum((1, 2, 3)), real)
    assert penalty.item() == pytest.approx(weight.square().sum().item() / 2)


# weighted sum


def test_weighted_sum_and_its_log() -> None:
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    total, log = weighted_sum({"a": a, "b": b}, {"a": 0.5, "b": 10.0})
    total.backward()
    assert total.item() == 31
    assert (a.grad, b.grad) == (0.5, 10.0)
    assert {name: value.item() for name, value in log.items()} == {"a": 2, "b": 3, "total": 31}
    assert not any(value.requires_grad for value in log.values())


def test_mean_of_the_logs_of_micro_batches() -> None:
    first = {"a": torch.tensor(1.0), "b": torch.tensor(0.0)}
    second = {"a": torch.tensor(4.0), "b": torch.tensor(1.0)}
    assert mean_terms([first, second]) == {"a": torch.tensor(2.5), "b": torch.tensor(0.5)}


def test_term_of_weight_zero_cannot_poison_the_sum() -> None:
    total, log = weighted_sum(
        {"a": torch.tensor(1.0), "b": torch.tensor(math.nan)}, {"a": 1, "b": 0}
    )
    assert total.item() == 1
    assert log["b"].isnan()


def test_weighted_sum_refuses_unmatched_names_and_no_weight() -> None:
    with pytest.raises(ValueError, match="differ"):
        weighted_sum({"a": torch.tensor(1.0)}, {"b": 1.0})
    with pytest.raises(ValueError, match="every weight is zero"):
        weighted_sum({"a": torch.tensor(1.0)}, {"a": 0.0})
