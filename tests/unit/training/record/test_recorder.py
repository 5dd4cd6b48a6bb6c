"""What a run records: numbers, curves of TensorBoard and Weights & Biases, pictures, films, log."""

from __future__ import annotations

import json
import logging
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from retalking.errors import ConfigError, RetalkingError
from retalking.media.sound import audio
from retalking.media.video import VideoReader
from retalking.training.record.films import Film
from retalking.training.record.recorder import open_recorder
from retalking.types import AudioClip

RATE_HZ = 16_000


def test_records_after_the_restored_step_are_withdrawn(tmp_path: Path) -> None:
    with open_recorder(tmp_path, 0) as recorder:
        for step in (1, 2, 3):
            recorder.add_metrics(step, "train", {"l1": step / 4})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "spl')  # killed while writing
    with open_recorder(tmp_path, 2) as recorder:
        recorder.add_metrics(3, "train", {"l1": 9.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["l1"]) for line in lines] == [(1, 0.25), (2, 0.5), (3, 9.0)]
    starts = json.loads((tmp_path / "environment.json").read_text())
    assert [start["from_step"] for start in starts] == [0, 2]
    assert starts[0]["packages"]["torch"] == torch.__version__.split("+")[0] or torch.__version__


def test_tensorboard_shows_curves_and_grids(tmp_path: Path) -> None:
    with open_recorder(tmp_path, 0) as recorder:
        recorder.add_metrics(4, "validation", {"l1": 0.5})
        pictures = {"faces": torch.rand(3, 3, 8, 8), "clips": torch.rand(2, 5, 3, 8, 8)}
        recorder.add_pictures(4, pictures)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (point,) = events.Scalars("validation/l1")
    assert (point.step, point.value) == (4, 0.5)
    border = 2
    sizes = {name: events.Images(name)[0] for name in ("faces", "clips")}
    assert (sizes["faces"].width, sizes["faces"].height) == (2 * 10 + border, 2 * 10 + border)
    assert (sizes["clips"].width, sizes["clips"].height) == (5 * 10 + border, 2 * 10 + border)


def test_log_goes_to_the_file_only_while_recording(tmp_path: Path) -> None:
    logger = logging.getLogger("retalking.somewhere")
    with open_recorder(tmp_path, 0):
        logger.warning("inside")
    logger.warning("outside")
    text = (tmp_path / "log.txt").read_text()
    assert "WARNING retalking.somewhere: inside" in text
    assert "outside" not in text


def film(num_frames: int) -> Film:
    """Frames that grow lighter, and a tone that grows louder."""
    levels = torch.linspace(0.2, 0.8, num_frames)[:, None, None, None]
    time_s = np.arange(num_frames * RATE_HZ // 25) / RATE_HZ
    tone = 0.5 * time_s / time_s[-1] * np.sin(2 * np.pi * 440 * time_s)
    return Film(levels.expand(-1, 3, 32, 96), AudioClip(tone.astype(np.float32), RATE_HZ))


def test_films_are_files_with_sound(tmp_path: Path) -> None:
    shown = film(25)
    with open_recorder(tmp_path, 0) as recorder:
        recorder.add_films(6, {"talk": shown, "silent": Film(shown.frames[:3], None)})
    path = tmp_path / "films" / "talk-00000006.mp4"
    with VideoReader(path) as reader:
        assert (reader.info.width_px, reader.info.height_px) == (96, 32)
        assert reader.info.frame_rate == 25
        rgb = np.concatenate([chunk.rgb for chunk in reader.read_chunks(100)])
    assert len(rgb) == 25
    means = rgb.mean((1, 2, 3)) / 255
    np.testing.assert_allclose(means, shown.frames.mean((1, 2, 3)), atol=0.02)  # of 8 bits and x264
    heard = audio.load(path).samples
    early, late = np.abs(heard[: RATE_HZ // 4]).mean(), np.abs(heard[RATE_HZ // 2 : RATE_HZ]).mean()
    assert late > 3 * early > 0
    with pytest.raises(RetalkingError):
        audio.load(tmp_path / "films" / "silent-00000006.mp4")


class FakeRun:
    id = "abc123"

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []
        self.steps: list[tuple[str, str | None]] = []
        self.finished = False

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.steps.append((name, step_metric))

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Weights & Biases as far as it is used."""
    fake = types.SimpleNamespace(
        Error=type("Error", (Exception,), {}),
        Image=lambda rgb: ("image", rgb.shape, rgb.dtype),
        Video=lambda path, format: ("video", path, format),
        runs=[],
        calls=[],
    )

    def init(**settings: Any) -> FakeRun:
        fake.calls.append(settings)
        fake.runs.append(FakeRun())
        return fake.runs[-1]

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake


@pytest.mark.parametrize(("logger", "has_events"), [("wandb", False), ("both", True)])
def test_weights_and_biases_gets_all_that_is_shown(
    wandb: types.SimpleNamespace, tmp_path: Path, logger: Any, has_events: bool
) -> None:
    folder = tmp_path / "lips"
    folder.mkdir()
    with open_recorder(folder, 0, logger, {"loop": {"seed": 0}}) as recorder:
        recorder.add_metrics(4, "validation", {"l1": 0.5})
        recorder.add_pictures(4, {"faces": torch.rand(4, 3, 8, 8)})
        recorder.add_films(4, {"talk": film(3)})
    with open_recorder(folder, 4, logger):
        pass
    first, second = wandb.calls
    assert (first["project"], first["name"], first["id"]) == ("retalking", "lips", None)
    assert first["config"] == {"loop": {"seed": 0}}
    assert (second["id"], second["resume"]) == ("abc123", "allow")
    path = str(folder / "films" / "talk-00000004.mp4")
    assert wandb.runs[0].logged == [
        {"update": 4, "validation/l1": 0.5},
        {"update": 4, "faces": ("image", (22, 22, 3), np.dtype(np.uint8))},
        {"update": 4, "films/talk": ("video", path, "mp4")},
    ]
    assert ("*", "update") in wandb.runs[0].steps
    assert all(run.finished for run in wandb.runs)
    assert bool([*folder.glob("events.out.tfevents.*")]) == has_events
    assert json.loads((folder / "metrics.jsonl").read_text())["l1"] == 0.5


def test_weights_and_biases_that_is_absent_or_refuses_is_one_line(
    wandb: types.SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise wandb.Error("api_key not configured\n(no-tty)")

    wandb.init = refuse
    with pytest.raises(RetalkingError, match=r"api_key not configured \(no-tty\); log in"):
        open_recorder(tmp_path, 0, "wandb").__enter__()
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"not installed; pip install -r requirements-wandb\.txt"):
        open_recorder(tmp_path, 0, "both").__enter__()
    assert [*tmp_path.iterdir()] == []
