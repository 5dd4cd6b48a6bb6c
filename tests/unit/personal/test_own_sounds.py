from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from retalking.metrics.speech_fit import SpeechFit
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.faces import LendingFaces
from retalking.mouth.warp.lending.lenders import LentMouth
from retalking.personal.own_sounds import place_sounds
from retalking.personal.studied_video import OwnSpeech, StudiedVideo

MOUTHS, LATER_S, ENCODER = 90, 0.06, "0" * 64


def talk(fit: float = 0.8) -> StudiedVideo:
    """Three seconds of 30 frames a second; the sound comes later."""
    rng = np.random.default_rng(0)
    faces = LendingFaces(
        np.zeros((MOUTHS, 68, 3), np.float32),
        np.zeros((MOUTHS, 2, 3)),
        np.ones(MOUTHS),
        np.zeros((MOUTHS, 3)),
        np.zeros((MOUTHS, 5)),
    )
    mouth = LentMouth(np.zeros((4, 4, 3), np.uint8), (0, 0))
    bank = MouthBank.of(np.arange(MOUTHS), np.zeros(MOUTHS), faces, [mouth] * MOUTHS)
    heard = rng.normal(size=(20, 145)).astype(np.float32)
    return StudiedVideo(
        path=Path("talk.mp4"),
        num_frames=MOUTHS,
        time_s=np.arange(MOUTHS) / 30,
        angles=np.zeros((MOUTHS, 3)),
        lips=np.zeros((MOUTHS, 5)),
        mouth_px=90.0,
        brightness=130.0,
        flawed=0.0,
        bank=bank,
        mouths_s=np.arange(MOUTHS) / 30,
        speech=OwnSpeech(heard, SpeechFit(LATER_S, fit), 0.9),
    )


def test_every_mouth_has_the_sound_that_belongs_to_it() -> None:
    video = talk()
    space, (bank,) = place_sounds([video], ENCODER)
    assert space is not None
    assert space.encoder == ENCODER
    assert video.speech is not None
    for mouth in (0, 30, 60):
        column = round((mouth / 30 + LATER_S) / 0.02)
        expected = space.place(video.speech.heard[:, [column]])[0]
        np.testing.assert_allclose(bank.sounds[mouth], expected, atol=1e-5)
    beyond = np.rint((video.mouths_s + LATER_S) / 0.02) >= 145
    np.testing.assert_array_equal(np.isnan(bank.sounds).all(axis=1), beyond)
    assert beyond.any()


def test_speech_that_does_not_fit_the_lips_is_not_believed() -> None:
    space, banks = place_sounds([talk(), talk(fit=0.2)], ENCODER)
    assert space is not None
    assert not np.isnan(banks[0].sounds[:80]).any()
    assert np.isnan(banks[1].sounds).all()
    both = MouthBank.join(banks)
    np.testing.assert_array_equal(both.sounds[:80], banks[0].sounds[:80])
    space, (bank,) = place_sounds([talk(fit=0.2)], ENCODER)
    assert space is None
    assert bank.sounds.shape == (MOUTHS, 0)
    nobody = dataclasses.replace(talk(), bank=None)
    assert place_sounds([nobody], ENCODER) == (None, [])
