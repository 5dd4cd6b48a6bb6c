"""The paper's networks at small widths: shapes, gradients, switches, and what they refuse."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models import weights
from models.blocks.spectral_norm import SpectralNormConv2d, fold_spectral_norm
from models.blocks.warping import flow_to_deformation, warp
from models.discriminator import DiscriminatorConfig, PatchDiscriminator
from models.dnet import DNet, DNetConfig
from models.enet import ENet, ENetConfig
from models.lnet import LNet, LNetConfig
from models.syncnet import SyncExpert, SyncExpertConfig, SyncNet, lower_half_windows
from retalking.errors import ConfigError

DNET = DNetConfig(
    descriptor_channels=16,
    adain_channels=8,
    warping_base_channels=8,
    warping_max_channels=16,
    editing_base_channels=8,
    editing_max_channels=16,
    editing_blocks=1,
)
LNET = LNetConfig(
    base_channels=8,
    max_channels=32,
    blocks_per_level=1,
    adain_channels=8,
    audio_channels=16,
    audio_base_channels=4,
    attention_layers=1,
    attention_heads=2,
    attention_head_channels=8,
    attention_hidden=16,
)
ENET = ENetConfig(
    low_res_size_px=32,
    upsample_channels=(16, 8),
    style_channels=16,
    encoder_size_px=64,
    encoder_channels=(8, 8, 16),
    lnet=LNET,
)


def dnet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.rand(batch, 3, 64, 64) * 2 - 1, torch.randn(batch, 73, 27)


def lnet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 6, 32, 32)


def enet_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    reference = torch.rand(batch, 3, 128, 128)
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 3, 128, 128), reference


def expert_inputs(batch: int = 2) -> tuple[Tensor, ...]:
    return torch.randn(batch, 1, 80, 16), torch.rand(batch, 15, 48, 96)


NETWORKS = {
    "dnet": (lambda: DNet(DNET), dnet_inputs),
    "dnet-chained": (lambda: DNet(dataclasses.replace(DNET, chained_blocks=True)), dnet_inputs),
    "lnet": (lambda: LNet(LNET), lnet_inputs),
    "lnet-concat": (lambda: LNet(dataclasses.replace(LNET, fusion="concat")), lnet_inputs),
    "lnet-batch": (
        lambda: LNet(dataclasses.replace(LNET, norm="batch", spectral_norm=False)),
        lnet_inputs,
    ),
    "enet": (lambda: ENet(ENET), enet_inputs),
    "expert": (lambda: SyncExpert(SyncExpertConfig(4, 16)), expert_inputs),
    "discriminator": (
        lambda: PatchDiscriminator(DiscriminatorConfig(base_channels=4)),
        lambda: (torch.rand(2, 3, 96, 96),),
    ),
}


def all_outputs(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    out = network(*inputs)
    return [out] if isinstance(out, Tensor) else list(out)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_trainable_parameter_gets_a_gradient(name: str) -> None:
    make_network, make_inputs = NETWORKS[name]
    network = make_network().train()
    sum(out.square().mean() for out in all_outputs(network, make_inputs())).backward()
    for key, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
        else:
            assert name == "dnet", key
            assert ".conv1." in key or ".norm1." in key


@pytest.mark.parametrize("name", ["dnet", "lnet", "lnet-concat", "enet", "expert"])
def test_samples_of_a_batch_do_not_see_each_other(name: str) -> None:
    make_network, make_inputs = NETWORKS[name]
    network, inputs = make_network().eval(), make_inputs()
    with torch.inference_mode():
        together = all_outputs(network, inputs)
        alone = all_outputs(network, tuple(x[1:] for x in inputs))
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["dnet", "lnet", "enet", "expert", "discriminator"])
def test_bfloat16_autocast_stays_close(name: str) -> None:
    make_network, make_inputs = NETWORKS[name]
    network, inputs = make_network().eval(), make_inputs()
    with torch.inference_mode():
        exact = all_outputs(network, inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = all_outputs(network, inputs)
    for a, b in zip(exact, rounded, strict=True):
        assert torch.isfinite(b).all()
        assert (a - b.float()).abs().mean() < 0.1 * a.std() + 1e-3


@pytest.mark.parametrize("name", ["dnet", "lnet", "enet"])
def test_channels_last_changes_nothing(name: str) -> None:
    make_network, make_inputs = NETWORKS[name]
    network, inputs = make_network().eval(), make_inputs()
    with torch.inference_mode():
        plain = all_outputs(network, inputs)
        network = network.to(memory_format=torch.channels_last)
        last = all_outputs(network, inputs)
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


CUDA = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cpu", torch.bfloat16),
        ("cpu", torch.float16),
        pytest.param("cuda", torch.bfloat16, marks=CUDA),
        pytest.param("cuda", torch.float16, marks=CUDA),
    ],
)
@pytest.mark.parametrize("name", ["dnet", "lnet", "enet", "expert"])
def test_half_precision_weights_stay_close(name: str, device: str, dtype: torch.dtype) -> None:
    make_network, make_inputs = NETWORKS[name]
    network, inputs = make_network().eval(), make_inputs()
    with torch.inference_mode():
        exact = all_outputs(network, inputs)
        network = network.to(device, dtype)
        half = all_outputs(network, tuple(x.to(device, dtype) for x in inputs))
    for a, b in zip(exact, half, strict=True):
        assert b.dtype == dtype
        assert (a - b.float().cpu()).abs().mean() < 0.1 * a.std() + 1e-3


def test_dnet_shapes_and_warp_only() -> None:
    network, inputs = DNet(DNET).eval(), dnet_inputs()
    with torch.inference_mode():
        full, first_stage = network(*inputs), network(*inputs, warp_only=True)
    assert full.descriptor.shape == (2, 16)
    assert full.flow_px.shape == (2, 2, 16, 16)
    assert full.edited.shape == full.warped.shape == (2, 3, 64, 64)
    assert full.edited.abs().max() <= 1
    assert first_stage.edited is None
    torch.testing.assert_close(first_stage.warped, full.warped)


def test_dnet_first_convolution_counts_only_when_chained() -> None:
    inputs = dnet_inputs()
    for chained in (False, True):
        network = DNet(dataclasses.replace(DNET, chained_blocks=chained)).eval()
        with torch.no_grad():
            before = network(*inputs).edited
            network.editing_net.decoder.get_submodule("res2.res0").conv1.weight.mul_(-3)
            assert torch.equal(before, network(*inputs).edited) != chained


def test_dnet_measures_its_coefficients_and_stores_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = DNet(dataclasses.replace(DNET, standardised=True)).eval()
    samples = torch.randn(500, 73) * 3 + 100
    samples[:, 5] = 7  # never varies
    net.mapping_net.measure(samples)
    windows = samples[:2, :, None].expand(-1, -1, 27)
    plain = DNet(DNET).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    scaled = (windows - samples.mean(0)[:, None]) / samples.std(0).clamp(min=1e-3)[:, None]
    scaled[:, 5] = 0
    torch.testing.assert_close(
        net.mapping_net(windows), plain.mapping_net(scaled), rtol=1e-3, atol=1e-3
    )
    weights.save(tmp_path / "dnet.safetensors", net)
    again = weights.load(tmp_path / "dnet.safetensors", DNet).eval()
    torch.testing.assert_close(again.mapping_net(windows), net.mapping_net(windows))


def test_dnet_edits_the_warped_picture_if_asked() -> None:
    net = DNet(dataclasses.replace(DNET, edits_warped=True)).eval()
    for parameter in net.editing_net.decoder.final.parameters():
        nn.init.zeros_(parameter)
    made = net(*dnet_inputs())
    torch.testing.assert_close(made.edited, made.warped)


def test_dnet_moves_the_detail_of_a_larger_picture() -> None:
    torch.manual_seed(0)
    net = DNet(dataclasses.replace(DNET, edits_warped=True)).eval()
    for parameter in net.editing_net.decoder.final.parameters():
        nn.init.zeros_(parameter)
    image, windows = torch.rand(2, 3, 128, 128) * 2 - 1, torch.randn(2, 73, 27)
    made = net(nn.functional.avg_pool2d(image, 2), windows)
    expected = warp(image, flow_to_deformation(made.flow_px))
    torch.testing.assert_close(net.edit_fine(image, windows), expected)
    with pytest.raises(ConfigError, match="edits_warped is off"):
        DNet(DNET).edit_fine(image, windows)


def test_dnet_refuses_a_short_window_and_an_odd_size() -> None:
    network = DNet(DNET)
    image, coefficients = dnet_inputs()
    with pytest.raises(ConfigError, match=r"window of 24 frames, expected at least 25"):
        network(image, coefficients[:, :, :24])
    with pytest.raises(ConfigError, match=r"60x64 px, expected multiples of 32"):
        network(image[:, :, :60], coefficients)


def test_zero_flow_shrinks_as_upstream_does_and_far_flow_is_black() -> None:
    image = torch.rand(1, 3, 32, 32) + 1
    still = flow_to_deformation(torch.zeros(1, 2, 8, 8))
    assert still[0, 0, 0].tolist() == [-1, -1]
    assert still[0, -1, -1].tolist() == [1, 1]
    assert not torch.allclose(warp(image, still), image)
    far = flow_to_deformation(torch.full((1, 2, 8, 8), 100.0))
    assert warp(image, far).abs().max() == 0


def test_flow_moves_along_x_then_y_in_pixels_of_its_grid() -> None:
    flow_px = torch.zeros(1, 2, 5, 9)
    flow_px[:, 0], flow_px[:, 1] = 2, -1
    moved = flow_to_deformation(flow_px) - flow_to_deformation(torch.zeros_like(flow_px))
    torch.testing.assert_close(moved[0, 2, 3], torch.tensor([2 * 2 / 8, -1 * 2 / 4]))


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
            torch.testing.assert_close(lips[:, :, frame], one, rtol=1e-4, atol=1e-5)
            still = enet(mel[:, frame], faces[:, :, frame], reference[:, :, frame])
            for moving, single in zip(video, still, strict=True):
                torch.testing.assert_close(moving[:, :, frame], single, rtol=1e-4, atol=1e-5)


def test_lnet_refuses_an_odd_size() -> None:
    mel, faces = lnet_inputs()
    with pytest.raises(ConfigError, match=r"L-Net: faces of 30x32 px, expected multiples of 8"):
        LNet(LNET)(mel, faces[:, :, :30])


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
        enlarge([0 * one for one in given]), enlarge("zero"), rtol=1e-5, atol=1e-6
    )
    network.train()
    assert not torch.equal(enlarge(), enlarge())
    assert not torch.equal(enlarge(torch.tensor([7])), enlarge(torch.tensor([8])))
    alone = enlarge(torch.tensor([7]))
    low_res, style = low_res.repeat(2, 1, 1, 1), style.repeat(2, 1)
    torch.testing.assert_close(enlarge(torch.tensor([8, 7]))[1:], alone)
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
    assert torch.equal(same.face, plain.face)
    assert torch.equal(other.low_res, low_res)
    assert not torch.equal(other.face, plain.face)
    torch.testing.assert_close(film.face.transpose(1, 2).flatten(0, 1), other.face)


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
        torch.testing.assert_close(folded(*inputs).face, before, rtol=1e-5, atol=1e-6)
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


def test_expert_embeddings_are_unit_vectors_of_the_first_orthant() -> None:
    network = SyncExpert(SyncExpertConfig(4, 16)).eval()
    audio, face = network(*expert_inputs())
    assert audio.shape == face.shape == (2, 16)
    for vectors in (audio, face):
        assert vectors.min() >= 0
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_expert_windows_hold_lower_halves_frame_by_frame() -> None:
    faces = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 3, 5, 96, 96).clone()
    faces[:, :, :, :48] = -1
    windows = lower_half_windows(faces)
    assert windows.shape == (1, 15, 48, 96)
    assert windows[0, :, 0, 0].tolist() == [frame for frame in range(5) for _ in range(3)]


def test_expert_has_the_layers_of_its_checkpoint() -> None:
    keys = set(SyncExpert().state_dict())
    assert "face_encoder.16.conv_block.1.num_batches_tracked" in keys
    assert "audio_encoder.13.conv_block.0.weight" in keys
    assert not any(key.startswith(("face_encoder.17", "audio_encoder.14")) for key in keys)


def test_syncnet_has_the_size_of_its_checkpoint() -> None:
    state = SyncNet().state_dict()
    num_bytes = sum(value.numel() * value.element_size() for value in state.values())
    # syncnet_v2.model has 54,573,114 bytes, of which a few per tensor are its directory.
    assert 0 < 54_573_114 - num_bytes < 200 * len(state)
    assert state["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7)
    assert state["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert state["netfclip.3.weight"].shape == (1024, 512)


def test_syncnet_embeds_both_streams() -> None:
    network = SyncNet().eval()
    with torch.inference_mode():
        assert network.embed_audio(torch.randn(2, 1, 13, 20)).shape == (2, 1024)
        assert network.embed_lips(255 * torch.rand(1, 3, 5, 224, 224)).shape == (1, 1024)


@pytest.mark.parametrize("norm", ["instance", "spectral"])
def test_discriminator_judges_patches_of_70_pixels(norm: str) -> None:
    config = DiscriminatorConfig(in_channels=6, base_channels=2, norm=norm)
    faces = torch.rand(1, 6, 256, 256, requires_grad=True)
    network = PatchDiscriminator(config)
    logits = network(faces)
    assert logits.shape == (1, 1, 30, 30)
    if norm == "spectral":  # instance norm looks at the whole picture
        logits[0, 0, 15, 15].backward()
        seen = faces.grad.abs().sum(dim=(0, 1))
        rows = torch.nonzero(seen.sum(dim=1)).flatten()
        assert rows[-1] - rows[0] + 1 == 70


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DNetConfig(mapping_layers=0),
            r"DNetConfig\.mapping_layers: got 0, expected a",
        ),
        (lambda: DNetConfig(warping_up_levels=6), r"got 6, expected at most warping_down_levels"),
        (lambda: LNetConfig(base_channels=12), r"LNetConfig\.base_channels: got 12, .* of 8"),
        (lambda: LNetConfig(fusion="sum"), r"got 'sum', expected one of 'attention', 'concat'"),
        (lambda: LNetConfig(norm="group"), r"LNetConfig\.norm: got 'group'"),
        (lambda: LNetConfig(attention_levels=(3,)), r"got \(3,\), expected numbers from 0 to 2"),
        (lambda: LNetConfig(attention_dropout=1.0), r"got 1\.0, expected a share in \[0, 1\)"),
        (lambda: ENetConfig(upsample_channels=()), r"ENetConfig\.upsample_channels: got \(\)"),
        (lambda: ENetConfig(encoder_size_px=200), r"got 200, expected a multiple of 64"),
        (lambda: ENetConfig(low_res_size_px=100), r"got 100, expected a multiple of 8"),
        (lambda: ENetConfig(padding_px=96), r"got 96, expected a border smaller than the face"),
        (lambda: SyncExpertConfig(num_frames=True), r"got True, expected a positive integer"),
        (lambda: DiscriminatorConfig(norm="none"), r"got 'none', expected one of 'instance'"),
    ],
)
def test_configs_say_what_is_wrong(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("name", ["dnet-chained", "lnet-concat", "lnet-batch", "enet", "expert"])
def test_a_file_alone_rebuilds_the_network(name: str, tmp_path: Path) -> None:
    make_network, make_inputs = NETWORKS[name]
    network, inputs = make_network().eval(), make_inputs()
    weights.save(tmp_path / "network.safetensors", network)
    twin = weights.load(tmp_path / "network.safetensors", type(network))
    assert twin.config == network.config
    with torch.inference_mode():
        for a, b in zip(all_outputs(network, inputs), all_outputs(twin, inputs), strict=True):
            assert torch.equal(a, b)
