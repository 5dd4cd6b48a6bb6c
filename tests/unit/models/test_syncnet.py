"""The networks that judge: the sync expert, SyncNet, and the discriminator."""

from __future__ import annotations

import pytest
import torch

from models.discriminator import DiscriminatorConfig, PatchDiscriminator
from models.syncnet import SyncExpert, SyncExpertConfig, SyncNet
from tests.unit.models.networks import expert_inputs


def test_expert_embeddings_are_unit_vectors_of_the_first_orthant() -> None:
    network = SyncExpert(SyncExpertConfig(4, 16)).eval()
    audio, face = network(*expert_inputs())
    assert audio.shape == face.shape == (2, 16)
    for vectors in (audio, face):
        assert vectors.min() >= 0
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


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
