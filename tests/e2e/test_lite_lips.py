"""The shipped network that tells lips from speech, on people that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.lips import read_shapes
from datasets.prepare.settings import PreparationSettings
from datasets.prepare.store import prepare_store
from datasets.store.reader import ClipFilter, Store
from retalking.coefficients.basis import ExpressionBasis
from retalking.config import load_config
from retalking.locations import CONFIGS, LITE_WEIGHTS
from retalking.mouth.warp.lip_measures import OPENING
from retalking.speech.lip_shapes import LipListener
from scripts.lite.evaluate_lips import score, tell
from scripts.lite.manifest import read_research_clips

pytestmark = pytest.mark.usefixtures("one_thread")

CLIPS = ("val/lrs2_15499_00008", "val/mead_M030_sad_3_001", "val/grid_swiz3n")


def test_the_shipped_networks_are_small() -> None:
    files = ("speech_encoder", "lips", "voice_activity")
    assert sum((LITE_WEIGHTS / f"{name}.safetensors").stat().st_size for name in files) < 13e6


@pytest.mark.shared
def test_speech_tells_the_lips_of_people_not_trained_on(shared_dir: Path, tmp_path: Path) -> None:
    rows = [row for row in read_research_clips(shared_dir / "clips") if row.clip in CLIPS]
    changes = ["lips_px=[]", "stabiliser_px=[]", "keep_audio=true", "max_offset_s=0"]
    settings = load_config(PreparationSettings, CONFIGS / "prepare" / "clips.yaml", changes)
    prepare_store(tmp_path / "store", rows, settings, 0)
    store, listener = Store(tmp_path / "store"), LipListener.from_files()
    mean_shape = ExpressionBasis.from_file().mean_shape
    shapes = read_shapes(
        store, store.select(ClipFilter(("val",), speech=True)).tolist(), mean_shape
    )
    scores = [score(tell(store.clip(r), listener, None, None).values, shapes[r]) for r in shapes]
    assert len(scores) == len(CLIPS)
    correlations = np.mean([found.correlations for found in scores], axis=0)
    # Measured: 0.9, and 0.6 to 0.8 for the other shapes. Room for other decoders and rounding.
    assert correlations[OPENING] > 0.74
    assert correlations.min() > 0.4
    assert max(abs(found.lag) for found in scores) <= 1
    assert np.mean([found.closed_found for found in scores]) > 0.6
