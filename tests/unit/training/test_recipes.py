"""Every recipe says all that its trainer asks for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from retalking.config import flatten, load_config
from retalking.locations import CONFIGS
from retalking.training.loop import TrainingConfig

TRAINERS = {
    "audio": "train_audio",
    "dnet": "train_dnet",
    "enet": "train_enet",
    "landmarks": "scripts.lite.train_landmarks",
    "lips": "train_lips",
    "lnet": "train_lnet",
    "syncnet": "train_syncnet",
}
RECIPES = [path for name in TRAINERS for path in sorted((CONFIGS / name).glob("*.yaml"))]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_is_complete(recipe: Path) -> None:
    module = importlib.import_module(TRAINERS[recipe.parent.name])
    (schema,) = (
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, TrainingConfig)
        and found.__module__ == module.__name__
    )
    load_config(schema, recipe)


PAPER = {
    "dnet": {
        "loop.num_steps": 400_000,
        "warp_steps": 200_000,
        "optimizer.learning_rate": 1e-4,
        "loss.warp_perceptual": 1,
        "loss.perceptual": 1,
        "loss.style": 250,
        "data.size_px": 256,
    },
    "lnet": {
        "loop.num_steps": 400_000,
        "optimizer.learning_rate": 1e-4,
        "loss.l1": 1,
        "loss.perceptual": 1,
        "loss.sync": 0.3,
        "data.size_px": 96,
    },
    "enet": {
        "loop.num_steps": 300_000,
        "optimizer.learning_rate": 1e-5,
        "loss.l1": 0.2,
        "loss.perceptual": 1,
        "loss.adversarial": 100,
        "loss.identity": 0.4,
        "loss.sync": 0,
        "loss.adversarial_share": None,
        "data.size_px": 384,
        "data.num_frames": 5,
    },
}
"""Of its equations and of appendix C."""


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_keep_the_papers_numbers(name: str) -> None:
    found = flatten(yaml.safe_load((CONFIGS / name / "paper.yaml").read_text("utf-8")))
    assert {key: float(found[key]) if found[key] is not None else None for key in PAPER[name]} == (
        PAPER[name]
    )


def test_a_stable_game_of_enet_is_a_file_of_its_own() -> None:
    found = flatten(yaml.safe_load((CONFIGS / "enet" / "paper_stable.yaml").read_text("utf-8")))
    assert found.pop("base") == "paper.yaml"
    assert found["loop.best_metric"] == "lpips"  # l1 keeps the blurriest state of a game
    assert found["loss.adversarial_share"] <= 1
    assert found["loss.r1_gamma"] > 0
    assert found["loss.adversarial_start"] > found["loss.critic_start"] > 0
    assert not any(key.startswith(("data.", "model.", "optimizer.")) for key in found)


def test_no_recipe_is_forgotten() -> None:
    others = {"evaluation", "inference", "prepare"}
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} - others == set(TRAINERS)
