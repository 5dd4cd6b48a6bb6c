from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models import weights
from models.speech.lip_shapes import LipShapeConfig, LipShapeNet
from retalking.mouth.warp.lip_measures import OPENING
from retalking.personal import own_speech, tuned_heads
from retalking.personal.own_speech import fit_own_speech
from retalking.personal.talk_piece import TalkPiece
from retalking.personal.tuned_heads import join_heads, tell, tune_heads

CHANNELS = 12
CONFIG = LipShapeConfig(in_channels=CHANNELS, channels=16, num_heads=2)


def network(seed: int) -> LipShapeNet:
    torch.manual_seed(seed)
    return LipShapeNet(CONFIG).eval()


def talk_of(teacher: LipShapeNet, frames: int, seed: int, noise: float = 0.0) -> TalkPiece:
    """Lips that do what a network tells."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(0, 1, (CHANNELS, 2 * frames)).astype(np.float32)
    silent = TalkPiece(heard, 2 * np.arange(frames), np.zeros((frames, 5)))
    lips = tell(teacher, [silent]).astype(np.float64)
    lips = (lips - lips.mean(axis=0)) / lips.std(axis=0) + rng.normal(0, noise, lips.shape)
    return dataclasses.replace(silent, lips=lips)


def error(net: LipShapeNet, talk: TalkPiece) -> float:
    return float(np.square(tell(net, [talk]) - talk.lips).mean())


def test_the_common_network_stays_and_the_copy_learns() -> None:
    common, before = network(0), network(0).state_dict()
    talks = [talk_of(network(1), 200, 1), talk_of(network(1), 30, 2)]  # shorter than a window too
    tuned = tune_heads(common, talks, np.ones(230, np.bool_))
    assert error(tuned, talks[0]) < 0.97 * error(common, talks[0])
    assert all(torch.equal(value, before[name]) for name, value in common.state_dict().items())
    assert not any(parameter.requires_grad for parameter in tuned.parameters())
    heard = torch.from_numpy(talks[0].heard)[None]
    certain = "heads.0.spread.weight"
    assert torch.equal(tuned.state_dict()[certain], before[certain])
    assert tuned(heard).mean.shape == (1, 5, 400)


def test_frames_that_are_left_out_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned_heads, "_UPDATES", 8)
    common, talk = network(0), talk_of(network(1), 200, 1)
    taught = np.arange(200) < 120
    lies = np.where(taught[:, None], talk.lips, 3.0)
    one, other = (
        tune_heads(common, [dataclasses.replace(talk, lips=lips)], taught).state_dict()
        for lips in (talk.lips, lies)
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_joined_heads_answer_with_the_mean_and_are_a_file(tmp_path: Path) -> None:
    one, other = network(0), network(1)
    one.gain.fill_(0.5)
    joined = join_heads(one, other)
    heard = torch.randn(1, CHANNELS, 40)
    with torch.no_grad():
        wanted = (one(heard).mean + other(heard).mean) / 2
        torch.testing.assert_close(joined(heard).mean, wanted)
        weights.save(tmp_path / "lips.safetensors", joined)
        read = weights.load(tmp_path / "lips.safetensors", LipShapeNet)
        torch.testing.assert_close(read(heard).mean, wanted)
    assert read.gain.tolist() == [0.5] * 5
    assert len(one.heads) == 2


def test_tuned_heads_join_in_where_pieces_left_out_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    common, teacher = network(0), network(1)
    talks = [talk_of(teacher, 400, 1)]
    for tuned, heads in ((teacher, 4), (common, 2)):  # one knows, the other has learnt nothing
        monkeypatch.setattr(own_speech, "tune_heads", lambda *_, net=tuned: net)
        monkeypatch.setattr(own_speech, "_FITS", 0.0)
        fit = fit_own_speech(common, talks)
        assert fit.network is not None
        assert fit.network.config.num_heads == heads
    monkeypatch.undo()  # to the common network these lips do not fit the speech
    monkeypatch.setattr(own_speech, "tune_heads", lambda *_: teacher)
    fit = fit_own_speech(common, talks)
    assert fit.network is not None
    assert fit.network.config.num_heads == 2


def test_an_opening_that_would_suffer_keeps_tuned_heads_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    common, teacher = network(0), network(1)
    talks = [talk_of(teacher, 400, 1)]
    with torch.no_grad():
        for head in teacher.heads:  # knows all shapes, but of the opening the opposite
            head.shapes.weight[OPENING] *= -1
            head.shapes.bias[OPENING] *= -1
    monkeypatch.setattr(own_speech, "tune_heads", lambda *_: teacher)
    monkeypatch.setattr(own_speech, "_FITS", 0.0)
    fit = fit_own_speech(common, talks)
    assert fit.network is not None
    assert fit.network.config.num_heads == 2


def test_lips_go_no_further_than_speech_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the spread of true lips a guess that explains half of it would err more."""
    monkeypatch.setattr(tuned_heads, "_UPDATES", 4)
    common, teacher = network(0), network(0)
    with torch.no_grad():
        for head in teacher.heads:
            head.shapes.weight[:] = head.shapes.weight.flip(0)
    fit = fit_own_speech(common, [talk_of(teacher, 600, 1, noise=1.0)])
    assert fit.network is not None
    new = talk_of(teacher, 600, 2, noise=1.0)
    told = tell(fit.network, [new]) * fit.network.gain.numpy()
    told -= told.mean(axis=0)
    for shape in range(5):
        slope = float(told[:, shape] @ new.lips[:, shape] / np.square(told[:, shape]).sum())
        assert 0.8 < slope < 1.2  # 600 frames tell it to about a twentieth
        assert told[:, shape].std() < 0.9 * new.lips[:, shape].std()
