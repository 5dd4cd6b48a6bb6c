"""What holds for every network of the paper: gradients, batches, precision, configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models import weights
from models.discriminator import DiscriminatorConfig
from models.dnet import DNetConfig
from models.enet import ENetConfig
from models.lnet import LNetConfig
from models.syncnet import SyncExpertConfig
from retalking.errors import ConfigError
from tests.rounding import NETWORK
from tests.unit.models.networks import NETWORKS, all_outputs


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
        torch.testing.assert_close(both[1:], one, rtol=NETWORK, atol=NETWORK)


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
        torch.testing.assert_close(a, b, rtol=NETWORK, atol=NETWORK)


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
