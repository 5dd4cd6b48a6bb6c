"""What is computed from a store that is there: coefficients, references, sharp faces."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from datasets.lnet import LNetDataset, LNetDataSettings
from datasets.prepare.extend import (
    enhance_lips,
    extend_store,
    make_neutral_lips,
    regress_coefficients,
)
from datasets.store.reader import Store, StoredClip
from retalking.face.crops import lip_anchors
from retalking.face.landmarks import LiteLandmarker
from retalking.mouth.networks.references import cut_references
from retalking.networks.runner import make_runner
from retalking.rendering.streaming_filter import smooth_stream
from retalking.shard import Shard


def test_coefficients_are_added_once(extended: Path) -> None:
    clip = Store(extended).clip(2)
    coefficients = clip.coefficients()
    assert len(coefficients) == 12
    assert np.abs(coefficients.angle).max() < 0.6
    assert extend_store(extended, "coefficients", lambda clip: {}) == (0, 0)


def test_coefficients_come_from_pictures_as_well(extended: Path) -> None:
    class Recon(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            assert faces.shape[1:] == (3, 224, 224)
            return faces.mean((1, 2, 3))[:, None].expand(-1, 257)

    clip = Store(extended).clip(2)
    arrays = regress_coefficients(clip, Recon(), make_runner("cpu", "fp32"))
    assert {name: array.shape for name, array in arrays.items()} == {
        "expression": (12, 64),
        "angle": (12, 3),
        "translation": (12, 3),
        "crop": (12, 3),
    }
    assert 0.1 < arrays["angle"].min() <= arrays["angle"].max() < 0.9


@pytest.mark.parametrize("moves_detail", [False, True])
def test_an_identical_dnet_gives_the_frames_themselves_as_reference(
    extended: Path, moves_detail: bool
) -> None:
    from models.dnet import DNetConfig, DNetOutput

    class Unchanged(torch.nn.Module):
        config = DNetConfig(edits_warped=moves_detail)

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            assert not moves_detail
            return DNetOutput(window, window, image, image)

        def edit_fine(self, image: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
            assert image.shape[2] == 512
            return image

    landmarker, runner = LiteLandmarker.from_file(), make_runner("cpu", "fp32")

    def compute(clip) -> dict[str, np.ndarray]:
        template = np.zeros(64, np.float32)
        return make_neutral_lips(clip, 96, 92, Unchanged(), template, landmarker, runner, False)

    shutil.rmtree(extended / "neutral_96", ignore_errors=True)
    assert extend_store(extended, "neutral_96", compute, "stabiliser_256")[0] == 3
    sample = LNetDataset(
        LNetDataSettings(
            store=extended,
            splits={"train": 1},
            size_px=96,
            num_frames=4,
            min_native_px=0,
            reference="neutral",
            num_candidates=1,
            min_gap=0,
            matched_speech=0,
            mel_lead_frames=0,
            augment={"flip": 0, "grey": 0, "brightness": 0, "contrast": 0},
        ),
        0,
    )[0]
    middle = (..., slice(24, 72), slice(24, 72))
    assert (sample.references - sample.faces)[middle].abs().mean() < 0.04


def test_references_of_training_move_as_those_of_inference_to_the_ends_of_a_run(
    extended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets.prepare import extend
    from models.dnet import DNetConfig, DNetOutput

    class Unchanged(torch.nn.Module):
        config = DNetConfig()

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            return DNetOutput(window, window, image, image)

    class Trembling:
        """Finds faces a little beside where they are, each time elsewhere."""

        random = np.random.default_rng(0)

        def follow(self, rgb: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = points_px + self.random.normal(0, 2, (1, 1, 2)).astype(np.float32)
            eyes_and_nose.append(lip_anchors(found))
            return np.concatenate([found, np.zeros((1, 68, 1), np.float32)], -1), np.ones(1)

    eyes_and_nose: list[np.ndarray] = []
    used: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(references: Any, drift_px: np.ndarray, *rest: Any) -> np.ndarray:
        used.append((references.anchors_px, drift_px))
        return cut_references(references, drift_px, *rest)

    monkeypatch.setattr(extend, "cut_references", watch)
    clip = Store(extended).clip(0)
    template, runner = np.zeros(64, np.float32), make_runner("cpu", "fp32")
    make_neutral_lips(clip, 96, 92, Unchanged(), template, Trembling(), runner, False)
    anchors, smooth = (np.concatenate(parts) for parts in zip(*used, strict=True))
    found = np.concatenate(eyes_and_nose) - anchors
    one_run = np.zeros(len(found), np.int64)
    ((_, expected),) = smooth_stream([(None, found, one_run)])
    np.testing.assert_allclose(smooth, expected, atol=1e-9)
    assert np.abs(smooth - found).max() > 1


def test_neutral_lips_may_keep_the_frame_around_the_face(extended: Path) -> None:
    from models.dnet import DNetConfig, DNetOutput

    class White(torch.nn.Module):
        config = DNetConfig()

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            return DNetOutput(window, window, image, torch.ones_like(image))

    landmarker, runner = LiteLandmarker.from_file(), make_runner("cpu", "fp32")
    template = np.zeros(64, np.float32)
    clip = Store(extended).clip(0)
    corner = (slice(None), slice(88, 96), slice(0, 8))
    true = clip.pictures("lips_96", range(len(clip.array("tracks", "opening"))))[corner]
    assert true.max() < 100
    for show_source in (False, True):
        part = make_neutral_lips(clip, 96, 92, White(), template, landmarker, runner, show_source)
        starts = [0, *part["ends"][:-1]]
        made = np.stack(
            [
                cv2.imdecode(part["data"][start:end], cv2.IMREAD_COLOR_RGB)
                for start, end in zip(starts, part["ends"], strict=True)
            ]
        )[corner].astype(int)
        kept = np.abs(made - true).mean() < 8
        assert kept == show_source
        assert kept or made.min() > 240


def test_enhanced_lips_are_the_restorers_pictures_in_place(extended: Path) -> None:
    class Gpen(torch.nn.Module):
        def forward(self, faces: torch.Tensor, window: None) -> torch.Tensor:
            assert faces.shape[1:] == (3, 512, 512)
            return faces

    runner = make_runner("cpu", "fp32")
    added, _ = extend_store(
        extended, "enhanced_384", lambda clip: enhance_lips(clip, 92, Gpen(), runner)
    )
    assert added == 3
    clip = Store(extended).clip(2)
    large = clip.pictures("enhanced_384", range(12))
    small = clip.pictures("lips_96", range(12))
    shrunk = np.stack([cv2.resize(p, (96, 96), interpolation=cv2.INTER_LINEAR) for p in large])
    assert np.abs(shrunk.astype(int) - small).mean() < 5


def test_only_the_wanted_splits_are_extended(extended: Path) -> None:
    def compute(clip) -> dict[str, np.ndarray]:
        return {"x": np.zeros(1, np.float32)}

    assert extend_store(extended, "nothing", compute, splits=["no_such_split"]) == (0, 3)
    assert extend_store(extended, "nothing", compute)[0] == 3


def test_shards_share_out_the_clips(extended: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(extended, tmp_path / "store")
    done: list[str] = []

    def compute(clip: StoredClip) -> dict[str, np.ndarray]:
        done.append(clip.name)
        return {"x": np.zeros(1)}

    added = [extend_store(copy, "part", compute, shard=Shard(k, 2))[0] for k in (1, 2)]
    assert sum(added) == len(Store(copy)) == len(set(done)) == len(done)
    assert min(added) > 0
    bit = 1 << Store(copy).info.parts.index("part")
    assert (Store(copy).index["parts"] & bit > 0).all()
