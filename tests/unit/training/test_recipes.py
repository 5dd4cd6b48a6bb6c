"""Every recipe says all that its trainer asks for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from retalking.config import load_config
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


def test_no_recipe_is_forgotten() -> None:
    others = {"evaluation", "inference", "prepare"}
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} - others == set(TRAINERS)
