"""The shipped lip-sync expert on people that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from losses.sync import sync_probability
from models import weights
from models.syncnet import SyncExpert
from retalking.evaluation.methods import Framing
from retalking.evaluation.pairs import Pair
from retalking.evaluation.scoring import Scorer
from retalking.locations import CHECKPOINTS
from retalking.media.sound import audio
from retalking.metrics.lip_sync.judges import EXPERT_FILE, load_expert
from retalking.metrics.lip_sync.sync import LipSync
from tests.media import write_audio

pytestmark = pytest.mark.usefixtures("one_thread")

FRAME_SAMPLES = 640  # 1/25 s at 16 kHz


def test_the_shipped_expert_is_small_and_answers_with_a_cosine() -> None:
    path = CHECKPOINTS / EXPERT_FILE
    assert path.stat().st_size < 4e6
    expert = weights.load(path, SyncExpert)
    torch.manual_seed(0)
    with torch.no_grad():
        heard, lips = expert(torch.rand(8, 1, 80, 16) * 8 - 4, torch.rand(8, 15, 48, 96))
    cosine = sync_probability(lips, heard)
    assert 0 < cosine.min() < cosine.max() < 1
    assert (heard.std(0).max() > 0.01) & (lips.std(0).max() > 0.01)  # it listens and looks


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["lrs3_jcp5vvxtEaU_00002", pytest.param("vretalk_3", marks=pytest.mark.slow)]
)
def test_speech_that_is_shifted_by_k_frames_reports_offset_k(
    name: str, shared_dir: Path, tmp_path: Path
) -> None:
    video, heard = shared_dir / "clips" / "val" / f"{name}.mp4", tmp_path / "heard.wav"
    samples = audio.load(video).samples
    metric = LipSync(load_expert({}, torch.device("cpu")))
    scorer = Scorer({"sync": metric})

    def measure(num_early: int) -> dict[str, float]:
        write_audio(heard, np.roll(samples, -num_early))
        pair = Pair(0, video, heard)
        state = scorer.score(pair, video, Framing(max_seconds=6), ["sync"])["sync"]
        assert isinstance(state, dict), state
        return metric.values(state)

    right, wrong = measure(0), measure(len(samples) // 2)
    assert abs(right["av_offset"]) <= 1
    assert right["lse_c"] > wrong["lse_c"]
    for shift in (3, -4):
        assert measure(shift * FRAME_SAMPLES)["av_offset"] == right["av_offset"] + shift
