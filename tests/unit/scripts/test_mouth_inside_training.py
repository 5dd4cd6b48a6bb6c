"""Training of the painter of mouths, on mouths made by formulas."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.mouth_inside import MouthInsideConfig
from retalking.errors import ConfigError
from retalking.face.crops import Pads
from scripts.lite.train_mouth_inside import Mouth, choose_person, read_mouth, read_people, train
from tests.talking import analysis_of, draw, openings, talking_points, turns

CONFIG = MouthInsideConfig(channels=16, person_channels=4, moment_channels=2)


def mouth(seed: int, teeth: float) -> Mouth:
    """Teeth hang 0.08 from the upper lip; below them it is dark."""
    rng = np.random.default_rng(seed)
    right, below = rng.uniform(-0.4, 0.4, 400), rng.uniform(0, 0.25, 400)
    ones = np.ones(400)
    places = np.stack([right, below, 0.25 * ones, 0.25 * ones, 0.9 * ones], axis=1)
    colors = np.where(below < 0.08, teeth, 0.2)[:, None] * np.ones(3)
    frame = np.repeat(np.arange(4), 100)
    skin = np.ones((4, 3), np.float32)
    return Mouth(places.astype(np.float32), colors.astype(np.float32), frame, skin)


def test_teeth_are_learnt_where_they_hang() -> None:
    network = train([mouth(seed, 0.9) for seed in range(3)], CONFIG, steps=300)
    unseen = mouth(9, 0.9)
    with torch.no_grad():
        told = network(torch.from_numpy(unseen.places), torch.ones(400, 3)).numpy()
    below = unseen.places[:, 1]
    assert told[below < 0.06].mean() > 0.7
    assert told[below > 0.1].mean() < 0.35


def test_the_clearest_of_usual_mouths_is_shipped() -> None:
    people = torch.arange(16.0)[:, None]

    class Painter(torch.nn.Module):
        config = SimpleNamespace(moment_channels=1)

        def forward(self, places: torch.Tensor, skin: torch.Tensor, codes: torch.Tensor):
            teeth = 0.2 + 0.1 * codes[:, 0]
            return torch.where(places[:, 1] < 0.08, teeth, 0.2)[:, None].expand(-1, 3)

    mouths = [mouth(seed, teeth) for seed, teeth in enumerate((0.3, 0.5, 0.55, 0.6, 0.6, 1.4))]
    # Codes 3 and 4 resemble most people, an eighth of the codes; 15 has the most contrast.
    assert float(choose_person(Painter(), people, mouths)) == 4.0


class Drawn:
    """Stands for a ``Source``."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures = pictures

    def read_frames(self, frames: np.ndarray, pts: np.ndarray, size: int):
        for start in range(0, len(frames), size):
            pictures = [self.pictures[frame] for frame in frames[start : start + size]]
            yield SimpleNamespace(start=start, rgb=np.stack(pictures))


def test_what_lies_between_open_lips_is_read() -> None:
    points = talking_points(openings(32), turns(32), scale_px=45.0)
    analysis = analysis_of(points)
    scene = SimpleNamespace(
        analysis=analysis, pads=Pads(), source=Drawn([draw(each) for each in points])
    )
    found = read_mouth(scene)
    assert found is not None
    assert found.places.shape[1] == 5
    assert found.skin.shape == (int(found.frame.max()) + 1, 3)
    assert np.abs(found.places[:, 0]).max() < 0.6
    assert found.places[:, 1].min() > 0
    assert found.colors.mean() < 0.3  # drawn dark
    closed = SimpleNamespace(
        analysis=analysis_of(talking_points(np.zeros(32), turns(32))),
        pads=Pads(),
        source=scene.source,
    )
    assert read_mouth(closed) is None


def test_nobody_to_learn_from_is_said(tmp_path) -> None:
    (tmp_path / "list.tsv").write_text("clip\tmedia\tidentity\tsplit\n")
    with pytest.raises(ConfigError, match="no clip of the split train"):
        read_people(tmp_path / "list.tsv", tmp_path / "mouths", "train")
