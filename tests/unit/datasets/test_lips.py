from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.lips import LipDataSettings, LipDraws, hear_copies, read_shapes
from datasets.room import disturb_speech, other_voice
from datasets.store.format import TRACKS, write_part
from datasets.store.index import build_index
from datasets.store.reader import ClipFilter, Store, StoredClip
from models.speech.encoder import SpeechEncoder, SpeechEncoderConfig
from retalking.coefficients.basis import ExpressionBasis
from retalking.mouth.warp.lip_measures import OPENING, WIDTH
from tests.faces import frontal_landmarks
from tests.speech import vowels
from tests.stores import write_clip, write_store
from train_lips import closed_lips


@pytest.fixture(scope="module")
def mean_shape() -> np.ndarray:
    return ExpressionBasis.from_file().mean_shape


def settings(folder: Path, **changes: object) -> LipDataSettings:
    values = {"store": folder, "splits": {"train": 1.0}, "num_frames": 6, "margin_frames": 2}
    return LipDataSettings(**(values | {"clean": 1.0} | changes))


def test_frames_find_the_steps_at_their_time(tmp_path: Path, mean_shape: np.ndarray) -> None:
    """The clean copy counts its steps, and there are two of them a frame."""
    draws = LipDraws(settings(write_store(tmp_path / "store")), 0, mean_shape)
    starts = set()
    for number in range(20):
        sample = draws[number]
        assert sample.heard.shape == (16, 2 * (6 + 2 * 2))
        assert sample.shapes.shape == (6, 5)
        at_frames = sample.heard[0, sample.steps] * 100
        first = at_frames[0].round()
        # float16 holds steps / 100 to three digits.
        torch.testing.assert_close(at_frames, first + 2 * torch.arange(6.0), atol=0.1, rtol=0)
        assert first % 2 == 0
        starts.add(int(first))
    assert len(starts) > 5


def test_disturbed_copies_are_drawn_as_often_as_asked(
    tmp_path: Path, mean_shape: np.ndarray
) -> None:
    draws = LipDraws(settings(write_store(tmp_path / "store"), clean=0.25), 0, mean_shape)
    clean = [bool((draws[n].heard.diff(dim=1) >= 0).all()) for n in range(200)]
    assert 0.15 < np.mean(clean) < 0.35
    assert all(torch.equal(draws[5].heard, draws[5].heard) for _ in range(2))


def test_shapes_are_in_deviations_of_the_speaker(tmp_path: Path, mean_shape: np.ndarray) -> None:
    """Short clips of a person share a scale; a long clip has its own."""
    folder = write_store(tmp_path / "store", num_clips=1)
    names = []
    for clip, (frames, opening) in enumerate(((30, 0.02), (30, 0.08), (80, 0.3)), start=1):
        names.append(write_clip(folder, clip, frames, parts=()))
        _open_lips(folder, names[-1], opening * np.sin(np.arange(frames)), identity="ann")
    build_index(folder, names)
    store = Store(folder)
    shapes = read_shapes(store, store.select(ClipFilter(("train",))).tolist(), mean_shape)
    spreads = [lips[:, OPENING].std() for lips in shapes.values()]
    assert spreads[2] == pytest.approx(1, abs=0.01)
    assert spreads[1] == pytest.approx(4 * spreads[0], rel=0.1)
    together = np.concatenate(list(shapes.values())[:2])
    np.testing.assert_allclose(together[:, OPENING].std(), 1, atol=0.01)
    assert np.isfinite(together).all()
    assert np.abs(together[:, WIDTH]).max() < 4.01


def _open_lips(folder: Path, name: str, amounts: np.ndarray, identity: str) -> None:
    clip = StoredClip(folder, name)
    numbers = {key: clip.array(TRACKS, key) for key in clip.array_names(TRACKS)}
    points = np.tile(frontal_landmarks(60), (len(amounts), 1, 1)) + 200
    points[:, [65, 66, 67], 1] += 60 * (0.4 + amounts[:, None])
    numbers["landmarks_px"] = points.astype(np.float32)
    write_part(folder, TRACKS, name, numbers, {**clip.notes(), "identity": identity})


def test_copies_of_speech_stay_in_time(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", num_clips=1)
    clip = Store(folder).clip(0)
    numbers = {key: clip.array(TRACKS, key) for key in clip.array_names(TRACKS)}
    frames = len(numbers["opening"])
    numbers["audio"] = np.rint(vowels(frames / 25).samples * 32767).astype(np.int16)
    write_part(folder, TRACKS, clip.name, numbers, clip.notes())
    encoder = SpeechEncoder(SpeechEncoderConfig(1)).eval()
    found = hear_copies(StoredClip(folder, clip.name), encoder, num_copies=1)
    assert set(found) == {"0", "1"}
    assert found["0"].shape == found["1"].shape == (2 * frames, 368)
    assert not np.array_equal(found["0"], found["1"])
    again = hear_copies(StoredClip(folder, clip.name), encoder, num_copies=1)
    np.testing.assert_array_equal(again["1"], found["1"])


@pytest.mark.parametrize("seed", range(8))
def test_disturbed_speech_is_still_that_speech(seed: int) -> None:
    samples = vowels(1).samples
    changed = disturb_speech(samples, np.random.default_rng(seed))
    assert changed.shape == samples.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1
    lags = np.arange(-80, 81)
    fit = [float(samples[100:-100] @ np.roll(changed, -lag)[100:-100]) for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_another_voice_is_higher_or_lower_and_says_the_same(seed: int) -> None:
    """Two tones after each other: both move by the same factor, and so does the moment between."""
    time_s = np.arange(16_000) / 16_000
    tones = np.sin(2 * np.pi * np.where(time_s < 0.5, 400, 900) * time_s).astype(np.float32)
    voice = other_voice(tones, np.random.default_rng(seed))
    factor = len(tones) / len(voice)
    assert 0.8 < factor < 1.25
    assert len(voice) % 320 == 0
    for part, hz in ((slice(0.1, 0.4), 400), (slice(0.6, 0.9), 900)):
        piece = voice[int(part.start * len(voice)) : int(part.stop * len(voice))]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece))))
        found = np.fft.rfftfreq(len(piece), 1 / 16_000)[int(spectrum.argmax())]
        assert found == pytest.approx(hz * factor, abs=5)


def test_resting_lips_are_those_that_stay_closed() -> None:
    """Half a second of closed, wide lips; and a short closure that is narrow and tighter."""
    shapes = np.zeros((200, 5), np.float32)
    shapes[:, OPENING] = 1
    shapes[20:38, OPENING], shapes[20:38, WIDTH] = -1.5, 0.5
    shapes[100:103, OPENING], shapes[100:103, WIDTH] = -2, -1
    rest = closed_lips([shapes[:60], shapes[60:]])
    assert rest[WIDTH] == pytest.approx(0.5)
    assert -2 <= rest[OPENING] <= -1.5
    never_long = closed_lips([shapes[90:110]])
    assert never_long[WIDTH] == pytest.approx(-1)
