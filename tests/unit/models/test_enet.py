"""E-Net at small widths: noise, detail, colours, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from models.blocks.spectral_norm import SpectralNormConv2d, fold_spectral_norm
from models.enet import ENet
from retalking.errors import ConfigError
from tests.rounding import NETWORK
from tests.unit.models.networks import ENET, enet_inputs


def test_enet_shapes_follow_its_config() -> None:
    with torch.inference_mode():
        out = ENet(ENET).eval()(*enet_inputs())
        assert out.face.shape == (2, 3, 128, 128)
        assert out.low_res.shape == (2, 3, 32, 32)
        half = dataclasses.replace(ENET, upsample_channels=(8,))
        mel, faces, reference = enet_inputs()
        inputs = mel, faces[..., ::2, ::2], reference[..., ::2, ::2]
        assert half.size_px == 64
        assert ENet(half).eval()(*inputs).face.shape == (2, 3, 64, 64)


def test_enet_noise_is_silent_in_evaluation_random_in_training_and_repeatable_when_given() -> None:
    network = ENet(ENET)
    with torch.no_grad():
        for conv in network.style_convs:
            conv.weight.fill_(1)
    low_res, style = torch.rand(1, 3, 32, 32), torch.randn(1, 16)
    sizes = (72, 72, 144, 144)
    given = [torch.randn(1, 1, size, size) for size in sizes]

    def enlarge(noise: object = None) -> Tensor:
        with torch.no_grad():
            return network.enlarge(low_res, style, noise)

    network.eval()
    assert torch.equal(enlarge(), enlarge("zero"))
    assert torch.equal(enlarge(given), enlarge(given))
    assert not torch.equal(enlarge(given), enlarge())
    torch.testing.assert_close(
        enlarge([0 * one for one in given]), enlarge("zero"), rtol=NETWORK, atol=NETWORK
    )
    network.train()
    assert not torch.equal(enlarge(), enlarge())
    assert not torch.equal(enlarge(torch.tensor([7])), enlarge(torch.tensor([8])))
    alone = enlarge(torch.tensor([7]))
    low_res, style = low_res.repeat(2, 1, 1, 1), style.repeat(2, 1)
    torch.testing.assert_close(enlarge(torch.tensor([8, 7]))[1:], alone, rtol=NETWORK, atol=NETWORK)
    for bad, text in (("loud", "got loud"), (given[:3], "got 3 tensors")):
        with pytest.raises(ConfigError, match=f"{text}, expected 'zero', 'random' or 4 tensors"):
            enlarge(bad)


def test_enet_lets_lnet_see_other_pictures_than_the_large_ones() -> None:
    net = ENet(ENET).eval()
    mel, faces, reference = enet_inputs()
    small = nn.functional.interpolate(torch.cat([faces, reference], 1), (32, 32), mode="bilinear")
    with torch.no_grad():
        plain = net(mel, faces, reference)
        same = net(mel, faces, reference, small=small)
        other = net(mel, faces, reference, small=small.flip(3))
        over_time = [picture.unflatten(0, (1, 2)).transpose(1, 2) for picture in (faces, reference)]
        film = net(mel[None], *over_time, small=small.flip(3).unflatten(0, (1, 2)).transpose(1, 2))
        low_res = net.low_res(mel, small.flip(3))
    torch.testing.assert_close(same.face, plain.face, rtol=NETWORK, atol=NETWORK)
    assert torch.equal(other.low_res, low_res)
    assert not torch.equal(other.face, plain.face)
    torch.testing.assert_close(
        film.face.transpose(1, 2).flatten(0, 1), other.face, rtol=NETWORK, atol=NETWORK
    )


def test_enet_keeps_the_detail_that_lnet_left_alone() -> None:
    net = ENet(dataclasses.replace(ENET, reference_detail=True)).eval()
    low_res = torch.rand(1, 3, 32, 32)
    face, reference = torch.rand(2, 1, 3, 128, 128)
    last = net.detail_gate[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 20.0)  # the gate stands open
    known = torch.cat([face[:, :, :64], reference[:, :, 64:]], dim=2)
    small = nn.functional.interpolate(known, (32, 32), mode="bilinear")
    coarse = nn.functional.interpolate(small, (128, 128), mode="bilinear")
    torch.testing.assert_close(net.add_detail(coarse, low_res, face, reference), known)
    nn.init.constant_(last.bias, -20.0)
    torch.testing.assert_close(net.add_detail(coarse, low_res, face, reference), coarse)


def test_enet_keeps_the_colours_of_lnet() -> None:
    net = ENet(dataclasses.replace(ENET, keeps_colour=True)).eval()
    low_res, large = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 128, 128)
    small = nn.functional.avg_pool2d(low_res, 4)
    tinted = 0.5 * large + torch.tensor([0.3, 0.0, -0.2])[:, None, None]
    kept = net.keep_colour(tinted, low_res)
    mean = kept.mean(dim=(2, 3))
    torch.testing.assert_close(mean, small.mean(dim=(2, 3)), atol=5e-3, rtol=0)
    # Detail stays, and a face that has those colours already stays as it is.
    fine = tinted - nn.functional.avg_pool2d(tinted, 5, 1, 2)
    kept_fine = kept - nn.functional.avg_pool2d(kept, 5, 1, 2)
    inside = (..., slice(8, -8), slice(8, -8))
    assert (kept_fine - fine)[inside].abs().mean() < 0.1 * fine[inside].abs().mean()
    flat = torch.full((1, 3, 32, 32), 0.4)
    same = torch.full((1, 3, 128, 128), 0.4)
    torch.testing.assert_close(net.keep_colour(same, flat), same)
    mel, faces, reference = enet_inputs()
    plain = ENet(ENET).eval()
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        before, after = plain(mel, faces, reference), net(mel, faces, reference)
    torch.testing.assert_close(after.face, net.keep_colour(before.face, before.low_res))


def test_enet_refuses_another_face_size() -> None:
    mel, faces, reference = enet_inputs()
    with pytest.raises(ConfigError, match=r"E-Net: faces of 64x128 px, expected 128x128"):
        ENet(ENET)(mel, faces[:, :, :64], reference)
    with pytest.raises(ConfigError, match=r"E-Net: reference of 128x64 px"):
        ENet(ENET)(mel, faces, reference[..., :64])


def test_folding_spectral_norm_changes_no_output() -> None:
    network, inputs = ENet(ENET).eval(), enet_inputs()
    with torch.inference_mode():
        before = network(*inputs).face
        folded = fold_spectral_norm(copy.deepcopy(network))
        torch.testing.assert_close(folded(*inputs).face, before, rtol=NETWORK, atol=NETWORK)
    assert not any(isinstance(module, SpectralNormConv2d) for module in folded.modules())
    assert not any("weight_orig" in key for key in folded.state_dict())


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    conv = SpectralNormConv2d(6, 5, 3, padding=1).train()
    image = torch.rand(1, 6, 8, 8)
    for _ in range(50):
        conv(image).sum().backward()
    weight = conv.eval().normalised_weight().detach().flatten(1)
    assert torch.linalg.matrix_norm(weight, ord=2) == pytest.approx(1, rel=1e-3)
    before = conv.weight_u.clone()
    conv(image)
    assert torch.equal(before, conv.weight_u), "evaluation must not iterate"
    twin = copy.deepcopy(conv.train())
    assert torch.equal(twin(image), conv(image))


def test_spectral_norm_equals_pytorch() -> None:
    ours = SpectralNormConv2d(3, 4, 3, padding=1)
    theirs = nn.utils.spectral_norm(nn.Conv2d(3, 4, 3, padding=1))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = torch.rand(1, 3, 8, 8)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(ours(image), theirs(image))


def test_enet_makes_the_painted_half_alone_if_that_is_enough() -> None:
    net = ENet(ENET).eval().double()
    mel, faces, reference = (part.double() for part in enet_inputs())
    with torch.no_grad():
        whole = net(mel, faces, reference).face
        part = net(mel, faces, reference, painted_only=True).face
    made = slice(64 - 16, None)  # and 16 rows above
    torch.testing.assert_close(part[:, :, made], whole[:, :, made], rtol=0, atol=1e-12)
    assert torch.equal(part[:, :, :48], faces[:, :, :48])
    detailed = ENet(dataclasses.replace(ENET, reference_detail=True)).eval().double()
    with torch.no_grad():
        all_made = [detailed(mel, faces, reference, painted_only=on).face for on in (False, True)]
    assert torch.equal(*all_made)
