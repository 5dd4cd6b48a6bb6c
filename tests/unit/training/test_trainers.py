"""What the trainers are made of: first weights, teachers, mouth boxes, and what validation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets.augment import AugmentSettings
from datasets.enet import ENetSample, degrade
from datasets.held_out import read_held_out, without_changes
from datasets.lnet import LNetDataset, LNetDataSettings
from datasets.spoken_clips import choose_clips, read_face, read_speech
from datasets.store.reader import ClipFilter, Store
from losses.teachers import load_arcface, load_features, load_sync_expert
from models import initialisation, weights
from models.dnet import DNetOutput
from models.enet import ENet, ENetConfig
from models.landmarks import LandmarkNet, LandmarkNetConfig
from models.lnet import LNetConfig
from models.syncnet import SyncExpert, SyncExpertConfig
from retalking.errors import ConfigError, WeightsError
from retalking.locations import CONFIGS
from retalking.training.cli import launch
from retalking.training.distributed import Ranks
from tests.stores import write_store
from train_dnet import film_face
from train_enet import enlarge
from train_lnet import LNetTraining, weigh_mouth

CPU = torch.device("cpu")


SMALL = SyncExpertConfig(base_channels=2, embedding_channels=8)


def test_mouth_weights_lie_on_the_mouth() -> None:
    points = torch.zeros(2, 68, 2)
    points[0, 48:, 0] = torch.linspace(10, 20, 20)
    points[0, 48:, 1] = torch.linspace(16, 18, 20)
    points[1] = 100.0
    weight = weigh_mouth(points, 32, 4.0)
    assert weight.shape == (2, 1, 32, 32)
    assert (weight[0, 0, 14:21, 8:23] == 4).all()
    assert weight[0].sum().item() == 32 * 32 + 3 * weight[0].gt(1).sum().item()
    assert weight[0].gt(1).sum().item() == 7 * 15
    assert (weight[1] == 1).all()


def test_clips_of_different_people_and_their_middles(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "store", 5))
    names = [clip.name for clip in choose_clips(store, ClipFilter(("train",)), 3)]
    assert len(set(names)) == 3
    clip = store.clip(0)
    speech = read_speech(clip, 10)
    np.testing.assert_allclose(speech.openings, np.arange(5, 15) / 100, atol=1e-6)
    np.testing.assert_array_equal(speech.shifted_mels[0], clip.mel_windows(15, 16)[0])
    np.testing.assert_array_equal(speech.shifted_mels[5], clip.mel_windows(0, 1)[0])
    references = read_face(clip, 32, 10).references
    # Closed lips are those of the first frames, which are painted darker green.
    assert references[:, -1, -1, 1].max() <= 4 * 5 + 2


def test_held_out_samples_are_still_and_the_same(tmp_path: Path) -> None:
    settings = LNetDataSettings(
        store=write_store(tmp_path / "store"),
        splits={"train": 1.0},
        size_px=32,
        num_frames=2,
        min_native_px=0,
        reference="random",
        num_candidates=1,
        min_gap=0,
        matched_speech=0,
        mel_lead_frames=0,
        augment=AugmentSettings(flip=1, grey=1, brightness=0.5, contrast=0.5),
    )
    still = without_changes(settings, ("val",))
    assert still.splits == {"val": 1.0}
    assert set(still.augment.model_dump().values()) == {0.0}
    batches = read_held_out(LNetDataset(still, 0), 3, Ranks())
    assert [list(batch.clip_ids) for batch in batches] == [["clip003"]] * 3
    assert batches[0].faces.shape == (1, 2, 3, 32, 32)
    second_of_two = read_held_out(LNetDataset(still, 0), 3, Ranks(1, 2))
    assert len(second_of_two) == 1
    assert torch.equal(second_of_two[0].faces, batches[2].faces)


def test_first_weights_are_random_ours_or_official(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expert = SyncExpert(SMALL)
    ours = tmp_path / "expert.safetensors"
    weights.save(ours, expert)
    loaded = initialisation.build(SyncExpert, SMALL, ours, "lipsync_expert")
    for key, value in expert.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    wider = SyncExpertConfig(base_channels=4, embedding_channels=8)
    with pytest.raises(ConfigError, match=r"init: .* has another model config: base_channels 2"):
        initialisation.build(SyncExpert, wider, ours, "lipsync_expert")
    large = SyncExpert()
    official = tmp_path / "lipsync_expert.pth"
    torch.save({"state_dict": large.state_dict()}, official)
    finetuned = initialisation.build(SyncExpert, SyncExpertConfig(), official, "lipsync_expert")
    first = next(iter(large.state_dict()))
    assert torch.equal(finetuned.state_dict()[first], large.state_dict()[first])
    with pytest.raises(ConfigError, match="another model config: base_channels 32"):
        initialisation.build(SyncExpert, SMALL, official, "lipsync_expert")


def test_teachers_are_frozen_and_can_be_switched_off(tmp_path: Path) -> None:
    assert load_features("none", None, 3, CPU) is None
    assert load_sync_expert(None, CPU, 5) is None
    assert load_arcface(None, CPU) is None
    network = LandmarkNet(LandmarkNetConfig(crop_size_px=32, widths=(4, 4, 8, 8), hidden=8))
    weights.save(tmp_path / "landmarks.safetensors", network)
    teacher = load_features("face_features", tmp_path / "landmarks.safetensors", 2, CPU)
    assert teacher is not None
    maps = teacher(torch.rand(1, 3, 96, 96))
    assert [activation.shape[-1] for activation in maps] == [48, 24, 12, 24, 12, 6]
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    weights.save(tmp_path / "expert.safetensors", SyncExpert(SMALL))
    expert = load_sync_expert(tmp_path / "expert.safetensors", CPU, 5)
    assert expert is not None
    assert not expert.training
    assert not any(parameter.requires_grad for parameter in expert.parameters())
    with pytest.raises(ConfigError, match="num_frames: got 1, expected 5 for the lip-sync expert"):
        load_sync_expert(tmp_path / "expert.safetensors", CPU, 1)


def test_an_absent_teacher_names_the_switch(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pth"
    for load, switch in (
        (lambda: load_features("vgg19", absent, 3, CPU), "'perceptual: none'"),
        (lambda: load_features("face_features", absent, 3, CPU), "'perceptual: none'"),
        (lambda: load_sync_expert(absent, CPU, 5), "'sync_expert: null'"),
        (lambda: load_arcface(absent, CPU), "'arcface: null'"),
    ):
        with pytest.raises(WeightsError, match=f"absent.pth.*{switch}") as raised:
            load()
        assert "\n" not in str(raised.value)


def test_init_names_the_weights_to_begin_with(
    tmp_path: Path,
) -> None:
    seen: list[LNetTraining] = []

    def train(config: LNetTraining, job: object) -> int:
        seen.append(config)
        return 0

    smoke = CONFIGS / "lnet" / "smoke.yaml"
    arguments = ["--config", str(smoke), "--run-dir", str(tmp_path / "run"), "--device", "cpu"]
    weights_path = tmp_path / "my L-Net.pth"
    assert launch("Train.", LNetTraining, train, [*arguments, "--init", str(weights_path)]) == 0
    assert launch("Train.", LNetTraining, train, arguments) == 0
    assert [config.init for config in seen] == [weights_path, None]


def test_enet_is_trained_through_its_call_so_that_compiling_it_has_an_effect() -> None:
    config = ENetConfig(
        low_res_size_px=32,
        upsample_channels=(8, 8),
        style_channels=8,
        encoder_size_px=32,
        encoder_channels=(8, 8),
        lnet=LNetConfig(
            base_channels=8,
            max_channels=8,
            blocks_per_level=1,
            audio_base_channels=4,
            audio_channels=16,
            adain_channels=8,
            attention_heads=1,
            attention_hidden=8,
        ),
    )
    net, calls = ENet(config), []
    forward = net.forward
    net.forward = lambda *inputs, **_: calls.append(len(inputs)) or forward(*inputs)  # type: ignore
    torch.manual_seed(0)
    sample = ENetSample(
        faces=torch.rand(2, 1, 3, 128, 128),
        references=torch.rand(2, 1, 3, 128, 128),
        mels=torch.randn(2, 1, 1, 80, 16),
        expert_mel=torch.zeros(2, 1, 80, 16),
        landmarks_px=torch.zeros(2, 1, 68, 2),
        jpeg_quality=torch.tensor([60.0, 90.0]),
        noise_seeds=torch.tensor([[1], [2]]),
        clip_ids="",
    )
    large, low_res = enlarge(net, sample)
    assert calls == [5]
    assert large.shape == (2, 3, 128, 128)
    assert low_res.shape == (2, 3, 32, 32)
    # What L-Net saw was without the mouth, and degraded.
    sample.faces[..., 70:, :] = 0
    torch.testing.assert_close(enlarge(net, sample)[1], low_res, atol=2e-2, rtol=0)


def test_jpeg_sees_the_colours_of_the_picture_not_those_of_the_network() -> None:
    """JPEG keeps brightness better than colour; green outshines blue only in RGB."""

    class Show(nn.Module):
        config = ENetConfig(32)

        def forward(self, mels, faces, references, noise, small, **_):  # type: ignore[no-untyped-def]
            self.small = small
            return references, small[:, 3:]

    torch.manual_seed(0)
    faces, quality = torch.rand(2, 1, 3, 128, 128), torch.tensor([5.0, 5.0])
    sample = ENetSample(
        faces=faces,
        references=faces,
        mels=torch.zeros(2, 1, 1, 80, 16),
        expert_mel=torch.zeros(2, 1, 80, 16),
        landmarks_px=torch.zeros(2, 1, 68, 2),
        jpeg_quality=quality,
        noise_seeds=torch.zeros(2, 1, dtype=torch.int64),
        clip_ids="",
    )
    _, low_res = enlarge(Show(), sample)  # type: ignore[arg-type]
    torch.testing.assert_close(low_res, degrade(faces[:, 0], quality, 32))


def test_dnets_film_lets_the_first_face_do_what_the_clip_does() -> None:
    class Brighten(nn.Module):
        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            return DNetOutput(window, window, image, image + window.mean())

    frames = torch.rand(3, 3, 4, 4) * 0.5
    windows = torch.arange(3.0)[:, None, None].expand(3, 73, 26) * 0.2
    first, made, true = film_face(Brighten(), frames, windows).split(4, dim=3)  # type: ignore[arg-type]
    torch.testing.assert_close(first, frames[:1].expand_as(frames))
    torch.testing.assert_close(made, first + 0.1 * torch.arange(3.0)[:, None, None, None])
    torch.testing.assert_close(true, frames)
