from __future__ import annotations

import numpy as np
import pytest
import torch

from models.speech.lip_shapes import LipShapeConfig, LipShapeNet
from retalking.face.lip_motion import correlate
from retalking.personal import tuned_heads
from retalking.personal.own_speech import fit_own_speech
from retalking.personal.talk_piece import TalkPiece

CHANNELS = 12


@pytest.fixture
def common() -> LipShapeNet:
    torch.manual_seed(0)
    return LipShapeNet(LipShapeConfig(in_channels=CHANNELS, channels=16, num_heads=2)).eval()


@pytest.fixture(autouse=True)
def _hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learnt here is the last layer's."""
    monkeypatch.setattr(tuned_heads, "_UPDATES", 4)


def talk(frames: int, seed: int, common: LipShapeNet, habit: float) -> TalkPiece:
    """Lips that do what the common network tells, and, as a habit, something else it hears."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(0, 1, (CHANNELS, 2 * frames)).astype(np.float32)
    steps = 2 * np.arange(frames)
    with torch.no_grad():
        told = common(torch.from_numpy(heard)[None]).mean[0].numpy().T[steps]
        hidden = common.listen(torch.from_numpy(heard)[None])[0, 0].numpy().T[steps]
    own = told / told.std(axis=0) + habit * hidden[:, :5] / hidden[:, :5].std(axis=0)
    own += rng.normal(0, 0.5, own.shape)
    return TalkPiece(heard, steps, (own - own.mean(axis=0)) / own.std(axis=0))


def told_by(network: LipShapeNet, piece: TalkPiece) -> np.ndarray:
    with torch.no_grad():
        guess = network(torch.from_numpy(piece.heard)[None]).mean[0].numpy().T
    return guess[piece.steps]


def test_a_habit_is_learnt_and_holds_in_talks_that_were_not_heard(common: LipShapeNet) -> None:
    before = {name: value.clone() for name, value in common.state_dict().items()}
    fit = fit_own_speech(common, [talk(300, 1, common, 1.5), talk(200, 2, common, 1.5)])
    assert fit.network is not None
    assert (fit.after > fit.before + 0.1).all()
    new = talk(300, 3, common, 1.5)
    for shape in range(5):
        own, usual = (
            correlate(told_by(net, new)[:, shape], new.lips[:, shape])
            for net in (fit.network, common)
        )
        assert own > usual + 0.1
    assert all(torch.equal(value, before[name]) for name, value in common.state_dict().items())


def test_where_there_is_nothing_to_learn_the_common_network_stays(common: LipShapeNet) -> None:
    fit = fit_own_speech(common, [talk(600, 1, common, 0.0)])
    assert fit.network is None
    np.testing.assert_array_equal(fit.before, fit.after)


def test_a_few_seconds_teach_nothing(common: LipShapeNet) -> None:
    assert fit_own_speech(common, [talk(100, 1, common, 1.5)]).network is None
    assert fit_own_speech(common, []).network is None
