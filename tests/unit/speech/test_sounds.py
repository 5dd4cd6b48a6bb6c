"""Where the sounds of a person lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retalking.speech.features import hear_track
from retalking.speech.lip_shapes import SILENCE_AFTER_STEPS, LipListener, hear_lips
from retalking.speech.sounds import SoundSpace, distances
from retalking.speech.windows import STEP_SAMPLES, Hearing
from retalking.types import AudioClip
from tests.speech import RATE_HZ, vowels

ENCODER = "0" * 64


def some_sounds(count: int = 200) -> np.ndarray:
    """A few kinds of sounds in 60 features of very different sizes, each said with some noise."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(60, 5))
    said = kinds[:, np.arange(count) % 5] + 0.2 * rng.normal(size=(60, count))
    sounds: np.ndarray = (said * np.geomspace(0.1, 100, 60)[:, None] + 7).astype(np.float32)
    return sounds


def test_like_sounds_are_near_and_others_typically_one_apart() -> None:
    heard = some_sounds()
    places = SoundSpace.of(heard, ENCODER).place(heard)
    apart = distances(places, places)
    alike = np.arange(200)[:, None] % 5 == np.arange(200) % 5
    assert np.median(apart[~alike]) == pytest.approx(1, abs=0.2)
    assert apart[alike].max() < apart[~alike].min()


def test_distances_are_those_between_places_and_unknown_from_unknown() -> None:
    rng = np.random.default_rng(0)
    some, others = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 6))
    others[2] = np.nan
    expected = np.linalg.norm(some[:, None] - others, axis=-1)
    # A difference of squares of about 1 in 24 bits, and its root.
    np.testing.assert_allclose(distances(some, others), expected, atol=2e-3)
    assert np.isnan(distances(some, others)[:, 2]).all()


def test_a_space_comes_back_from_the_disk(tmp_path: Path) -> None:
    space = SoundSpace.of(some_sounds(), ENCODER)
    space.save(tmp_path / "sounds.arrays")
    found = SoundSpace.read(tmp_path / "sounds.arrays")
    np.testing.assert_array_equal(found.axes, space.axes)
    np.testing.assert_array_equal(found.mean, space.mean)
    assert found.encoder == ENCODER


def test_lips_that_are_heard_bring_their_sounds(untrained: LipListener) -> None:
    clip = vowels(1)
    ended = np.zeros(SILENCE_AFTER_STEPS * STEP_SAMPLES, np.float32)
    ended_clip = AudioClip(np.concatenate([clip.samples, ended]), RATE_HZ)
    heard = hear_track(ended_clip, untrained.encoder, Hearing.offline())
    space = SoundSpace.of(heard, ENCODER)
    shapes = hear_lips(clip, dataclasses.replace(untrained, sounds=space))
    plain = hear_lips(clip, untrained)
    assert plain.sounds is None
    assert plain.at([0.1]).sounds is None
    np.testing.assert_array_equal(shapes.values, plain.values)  # lips are as without
    assert shapes.sounds is not None
    np.testing.assert_allclose(shapes.sounds, space.place(heard), atol=1e-4)
    between = shapes.at([0.21]).sounds
    assert between is not None
    np.testing.assert_allclose(between[0], shapes.sounds[10:12].mean(axis=0), atol=1e-5)
