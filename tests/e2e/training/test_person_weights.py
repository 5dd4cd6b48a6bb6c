"""Official weights that go on with one person: two steps of L-Net, then a dub with E-Net's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import weights
from models.lnet import LNet
from models.weight_files import read_metadata
from retalking.config import load_config
from retalking.inference.pipeline import Retalker
from retalking.training.run_dir import RunDir
from retalking.weights.catalogue import sha256_of
from tests import media
from tests.e2e.conftest import portrait_frames
from tests.e2e.jobs import read_frames
from tests.e2e.training.trainers import CONFIGS, TRAINERS
from tests.parity import golden
from tests.stores import write_store

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH, HEIGHT = 320, 256


@pytest.mark.parametrize("name", ["dnet", "enet", "lnet"])
def test_a_recipe_for_one_person_says_what_differs_from_the_paper(name: str) -> None:
    _, schema, _ = TRAINERS[name]
    person, paper = (
        load_config(schema, CONFIGS / name / f"{recipe}.yaml").model_dump()
        for recipe in ("person", "paper")
    )
    assert person["optimizer"]["learning_rate"] < paper["optimizer"]["learning_rate"]
    assert person["loop"]["patience"] is not None
    assert person["init"] is not None
    assert person["ema_decay"] > 0
    assert person["model"] == paper["model"]


@pytest.mark.slow
def test_lnet_is_finetuned_and_speaks_with_the_official_enet(tmp_path: Path) -> None:
    files = {}
    for name in ("LNet", "ENet"):
        files[name] = tmp_path / f"{name}.pth"
        torch.save(golden.official_checkpoint(name), files[name])
    store = write_store(tmp_path / "store", 2, size_px=96)
    settings = [
        f"data.store={store}",
        "data.num_frames=1",
        "loop.num_steps=2",
        "loop.batch_size=1",
        "loop.num_workers=0",
        "loop.best_metric=l1",
        "compute.precision=fp32",
        "perceptual=none",
        "sync_expert=null",
        "validation.num_samples=1",
        "validation.num_clips=1",
        "validation.clip_frames=10",
    ]
    arguments = ["--config", str(CONFIGS / "lnet" / "person.yaml"), "--device", "cpu"]
    arguments += ["--run-dir", str(tmp_path / "run"), "--init", str(files["LNet"])]
    for setting in settings:
        arguments += ["--set", setting]
    module, schema, _ = TRAINERS["lnet"]
    assert module.launch("Train.", schema, module.train, arguments) == 0
    own = RunDir(tmp_path / "run").weights_path("best")
    metadata = read_metadata(own)
    assert (metadata["base"], metadata["base_sha256"]) == ("LNet.pth", sha256_of(files["LNet"]))
    moved = weights.load(own, LNet).state_dict()
    before = weights.load_any(files["LNet"], LNet, "LNet").state_dict()
    assert any(not torch.equal(moved[key], before[key]) for key in before)

    pictures = portrait_frames(2, WIDTH, HEIGHT)
    media.write_video(tmp_path / "talk.mp4", pictures=pictures, width=WIDTH, height=HEIGHT)
    media.write_audio(tmp_path / "speech.wav", media.speech_like(0.08))
    retalker = Retalker.from_profile(
        "small",
        device="cpu",
        batch_size=1,
        dnet=None,
        reference_source="first",
        lnet=str(own),
        enet=str(files["ENet"]),
        tmp_dir=str(tmp_path / "cache"),
    )
    retalker(tmp_path / "talk.mp4", tmp_path / "speech.wav", tmp_path / "dubbed.mkv")
    dubbed = read_frames(tmp_path / "dubbed.mkv")
    assert dubbed.shape == (2, HEIGHT, WIDTH, 3)
    assert retalker.parts.enet is not None
    inside = retalker.parts.enet.get_submodule("low_res").state_dict()
    learnt = [
        key for key in moved.keys() & inside.keys() if not torch.equal(moved[key], before[key])
    ]
    assert learnt  # biases: spectral norms are folded into the weights
    assert all(torch.equal(inside[key], moved[key]) for key in learnt)
