"""What the trainers do with their settings, and what they say about mistakes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.store.format import TRACKS, write_part
from datasets.store.index import build_index
from datasets.store.reader import Store
from models import weights
from models.discriminator import PatchDiscriminator, critic_path
from models.lnet import LNet
from models.speech.audio_opening import AudioOpening
from retalking.config import load_config
from retalking.training.run_dir import RunDir
from tests.conftest import REPOSITORY
from tests.e2e.conftest import Run
from tests.e2e.training.trainers import CONFIGS, SIZE_PX, TRAINERS, final, records
from tests.stores import write_store

pytestmark = pytest.mark.usefixtures("one_thread")


def test_all_teachers_together(run: Run, tmp_path: Path, lnet_file: Path) -> None:
    """The expert judges five frames, and the features of the landmark network the picture."""
    assert run("syncnet", tmp_path / "expert", "loop.num_steps=2") == 0
    expert = RunDir(tmp_path / "expert").weights_path("best")
    settings = (
        "data.num_frames=5",
        f"sync_expert={expert}",
        "loss.sync=0.3",
        "loss.sync_threshold=100",
        "perceptual=face_features",
        f"perceptual_weights={REPOSITORY / 'checkpoints/lite/landmarks.safetensors'}",
        "loss.perceptual=1",
        f"init={lnet_file}",
        "compute.accumulate=2",
        "validation.clip_frames=15",
    )
    assert run("lnet", tmp_path / "lnet", *settings) == 0
    first, second = records(tmp_path / "lnet", "train")
    without_sync = {"l1": 1, "gradient_l1": 1, "perceptual": 1}
    # The schedule switches the sync term on after the validation at step 2.
    for record, factors in ((first, without_sync), (second, {**without_sync, "sync": 0.3})):
        total = sum(factor * record[name] for name, factor in factors.items())
        assert record["total"] == pytest.approx(total, rel=1e-5)
    judged = records(tmp_path / "lnet", "validation")[0]
    assert 0 <= judged["sync_probability"] <= 1
    assert {"lse_d", "lse_c", "true_lse_d", "true_lse_c"} <= judged.keys()
    films = sorted(file.name for file in (tmp_path / "lnet" / "films").iterdir())
    assert films == [f"reference_truth_made-0000000{step}.mp4" for step in (2, 4)]


def test_lnet_begins_with_the_warm_audio_encoder(run: Run, tmp_path: Path) -> None:
    assert run("audio", tmp_path / "audio", "loop.num_steps=2") == 0
    warm = RunDir(tmp_path / "audio").weights_path("best")
    settings = (f"audio_encoder={warm}", "frozen_audio_steps=2", "loop.num_steps=2")
    assert run("lnet", tmp_path / "lnet", *settings) == 0
    made = weights.load(RunDir(tmp_path / "lnet").weights_path(2), LNet).audio_encoder
    for key, value in weights.load(warm, AudioOpening).audio_encoder.state_dict().items():
        torch.testing.assert_close(made.state_dict()[key], value, msg=key)


def test_dnet_moves_the_editing_network_in_stage_2_only(run: Run, tmp_path: Path) -> None:
    cadence = ("loop.log_every=1", "loop.save_every=1", "loop.keep_last=4")
    assert run("dnet", tmp_path / "run", "warp_steps=2", *cadence) == 0
    losses = [record["l1"] for record in records(tmp_path / "run", "train")]
    assert losses[:2] == [0, 0]
    assert min(losses[2:]) > 0
    states = [
        torch.load(RunDir(tmp_path / "run").state_path(step), weights_only=True)["net"]
        for step in (1, 2, 3)
    ]

    pairs = list(itertools.pairwise(states))

    def moved(part: str) -> list[bool]:
        keys = [key for key in states[0] if key.startswith(part)]
        return [any(not torch.equal(a[k], b[k]) for k in keys) for a, b in pairs]

    assert moved("warpping_net") == [True, True]
    assert moved("editing_net") == [False, True]


@pytest.mark.parametrize(
    ("name", "setting", "line"),
    [
        ("lnet", "loss.sink=1", "loss.sink: unknown key; closest: loss.sync"),
        ("lnet", "model.widht=1", "model.widht: got 1; Unexpected keyword argument"),
        ("lnet", "data.splits={test: 1, train: 0}", "left by the condition split in test"),
        ("lnet", "data.num_frames=99", "left by the condition at least 198 frames"),
        ("lnet", "loop.best_metric=lpips", "expected one of the validation metrics"),
        ("lnet", "init=none.pth", "none.pth"),
        ("lnet", "audio_encoder=none.safetensors", "none.safetensors"),
        ("lnet", "sync_expert=none.pth", "or set 'sync_expert: null'"),
        ("lnet", "perceptual=vgg19", "perceptual_weights: got null, expected the file of vgg19"),
        ("dnet", "data.augment.flip=0.5", "augment.flip: got 0.5, expected 0"),
        ("enet", "arcface=none.pth", "or set 'arcface: null'"),
        ("enet", "lnet=null", "lnet: got null, expected the weights of a trained L-Net"),
        ("syncnet", "data.positive_share=2", "data.positive_share: got 2"),
        ("syncnet", "contrast.group.num_shown=4", "num_shown <= num_windows <= span_frames"),
    ],
)
def test_a_mistake_is_one_line(
    name: str, setting: str, line: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, tmp_path / "run", setting) == 2
    printed = capsys.readouterr().err.splitlines()
    errors = [text for text in printed if text.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0]
    if "best_metric" not in setting:  # the first validation tells; what was learnt is kept
        assert not (tmp_path / "run").exists() or not RunDir(tmp_path / "run").saved_steps()


def test_absent_vgg19_names_the_switch(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("perceptual=vgg19", f"perceptual_weights={tmp_path / 'vgg19.pth'}")
    assert run("lnet", tmp_path / "run", *settings) == 2
    assert "set 'perceptual: none'" in capsys.readouterr().err


def test_nan_stops_the_run_with_the_names_of_the_clips(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_store(tmp_path / "store", num_clips=2, size_px=SIZE_PX)
    clip = Store(folder).clip(0)
    arrays = {name: clip.array(TRACKS, name) for name in clip.array_names(TRACKS)}
    arrays["mel"] = np.full_like(arrays["mel"], np.nan)
    write_part(folder, TRACKS, clip.name, arrays, clip.notes())
    assert run("lnet", tmp_path / "run", data=folder) == 2
    printed = capsys.readouterr().err
    assert "is nan" in printed
    assert "clips of this batch: clip000, clip000" in printed
    assert RunDir(tmp_path / "run").saved_steps() == []


def _spoil(store: Path, fault: str) -> None:
    """Take the speech from a store, all its clips, or the pictures of one."""
    clips = [Store(store).clip(row) for row in range(len(Store(store)))]
    for clip in clips:
        arrays = {name: clip.array(TRACKS, name) for name in clip.array_names(TRACKS)}
        if fault == "speech":
            del arrays["mel"], arrays["mel_start"]
        write_part(store, TRACKS, clip.name, arrays, clip.notes())
        if fault == "jpeg":
            ends = clip.array(f"lips_{SIZE_PX}", "ends")
            no_jpegs = {"data": np.zeros(ends[-1], np.uint8), "ends": ends}
            write_part(store, f"lips_{SIZE_PX}", clip.name, no_jpegs)
    build_index(store, [] if fault == "clips" else [clip.name for clip in clips])


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("speech", "none of 2 clips is left by the condition has speech"),
        ("clips", "none of 0 clips is left by the condition split in train"),
        ("jpeg", "is damaged; delete the clip's files and prepare it again"),
    ],
)
def test_a_faulty_store_is_one_line(
    fault: str,
    line: str,
    num_workers: int,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_store(tmp_path / "store", num_clips=2, size_px=SIZE_PX)
    _spoil(folder, fault)
    workers = f"loop.num_workers={num_workers}"
    assert run("syncnet", tmp_path / "run", workers, data=folder) == 2
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0]


@pytest.mark.parametrize("name", TRAINERS)
def test_every_recipe_fits_its_schema(name: str) -> None:
    for path in sorted((CONFIGS / name).glob("*.yaml")):
        load_config(TRAINERS[name][1], path)


def test_enet_hears_the_expert_and_a_bounded_critic(run: Run, tmp_path: Path) -> None:
    assert run("syncnet", tmp_path / "expert", "loop.num_steps=2") == 0
    expert = RunDir(tmp_path / "expert").weights_path("best")
    game = ("adversarial=100", "critic_start=1", "adversarial_start=2", "adversarial_share=0.5")
    settings = ("data.num_frames=5", f"sync_expert={expert}", "loss.sync=0.3", "loop.log_every=1")
    terms = tuple(f"loss.{setting}" for setting in (*game, "r1_every=2"))
    judged = ("validation.clip_frames=20", "loop.validate_every=4")
    assert run("enet", tmp_path / "enet", *settings, *terms, *judged) == 0
    (found,) = records(tmp_path / "enet", "validation")
    for name in ("lse_d", "true_lse_d"):  # distances of unit vectors
        assert 0 < found[name] <= 2
    assert found["lse_d"] != found["true_lse_d"]
    assert min(found["lse_c"], found["true_lse_c"]) >= 0
    assert {"lip_gain", "lip_correlation", "psnr_db"} <= found.keys()
    weights_used, shares, critic, penalty = (
        [record[name] for record in records(tmp_path / "enet", "train")]
        for name in ("adversarial_weight", "adversarial_share", "critic", "r1")
    )
    assert weights_used[:2] == shares[:2] == [0, 0]
    assert 0 < min(weights_used[2:]) <= max(weights_used[2:]) < 100
    np.testing.assert_allclose(shares[2:], 0.5, rtol=1e-4)
    assert len(set(critic)) > 1
    assert [value > 0 for value in penalty] == [True, False, True, False]
    first, *_, last = records(tmp_path / "enet", "train")
    for record in (first, last):
        total = record["l1"] + 0.5 * record["gradient_l1"] + 0.3 * record["sync"]
        assert record["total"] == pytest.approx(total, rel=1e-4)  # of what is no game


def test_a_critic_goes_over_to_the_next_run(run: Run, tmp_path: Path) -> None:
    """As `--init` carries E-Net, the critic that lies beside it comes along."""
    assert run("enet", tmp_path / "first", "loop.num_steps=2") == 0
    init = RunDir(tmp_path / "first").weights_path("best")
    critic = critic_path(init)
    saved = weights.load(critic, PatchDiscriminator).state_dict()
    later = ("loop.num_steps=1", "loss.critic_start=100")
    assert run("enet", tmp_path / "second", f"init={init}", *later) == 0
    step, state = final(tmp_path / "second")
    assert step == 1
    for key, value in saved.items():
        torch.testing.assert_close(state["critic"][key], value, rtol=0, atol=0)


def test_a_critic_may_see_the_reference(run: Run, tmp_path: Path) -> None:
    assert run("enet", tmp_path / "run", "loop.num_steps=2", "discriminator.in_channels=6") == 0
    critic = weights.load(
        critic_path(RunDir(tmp_path / "run").weights_path("best")), PatchDiscriminator
    )
    assert critic.config.in_channels == 6
