"""Mouths out of other videos of the person."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.errors import ConfigError
from retalking.face.crops import Pads
from retalking.mouth.person import Person
from retalking.mouth.warp import WarpMouth
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lending.lenders import LentMouth, mouth_box
from retalking.mouth.warp.lending.price import spread_of
from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.speaker import study_speaker
from tests.talking import BASIS, draw, openings, talking_points, track_of, turns
from tests.unit.mouth.warp.test_warp_mouth import (
    DrawnSource,
    analysis_of,
    plan_of,
)

POINTS = talking_points(openings(32), turns(32))
PICTURES = [draw(p) for p in POINTS]


def cut_mouth(picture: np.ndarray, landmarks: np.ndarray) -> LentMouth:
    x1, y1, x2, y2 = mouth_box(landmarks, picture.shape[1], picture.shape[0])
    return LentMouth(picture[y1:y2, x1:x2], (x1, y1))


@pytest.fixture(scope="module")
def person() -> Person:
    speaker = study_speaker(track_of(POINTS), BASIS, Pads())
    frames = np.arange(len(POINTS))
    landmarks = speaker.landmarks_px[..., :2]
    mouths = [cut_mouth(PICTURES[k], landmarks[k]) for k in frames]
    bank = MouthBank.of(frames, np.zeros(len(frames)), speaker.faces(frames), mouths)
    return Person(speaker.range, bank)


def speak(
    person: Person | None, gap: float, sounds: np.ndarray | None = None
) -> tuple[WarpMouth, np.ndarray]:
    """A photograph with closed lips that opens them: the mouth, and its last frame."""
    analysis = analysis_of(POINTS[:1])
    plan = plan_of(analysis, 0.4)
    wanted = np.zeros((len(plan), 5), dtype=np.float32)
    wanted[:, OPENING] = np.linspace(-2, gap, len(plan))
    known = {} if person is None else {"known": person.lips, "bank": person.bank}
    if sounds is not None:
        known["sounds"] = np.tile(sounds, (len(plan), 1)).astype(np.float32)
    source = DrawnSource(PICTURES[:1])
    mouth = WarpMouth.prepare(source, analysis, plan, wanted, **known)  # type: ignore[arg-type]
    layer = mouth.layers(PICTURES[:1], np.array([0]), np.array([len(plan) - 1]))[0]
    return mouth, layer.rgb


def test_a_photograph_gets_the_open_mouth_that_another_video_shows(person: Person) -> None:
    mouth, _ = speak(person, 1.3)
    lenders = mouth._lending.plan.lender
    assert lenders[0] == 0  # closed lips are its own
    assert lenders[-1] > 1
    lent = mouth._lending.mouths[int(lenders[-1])]
    assert lent.opening > 0.15
    # The drawn person is dark inside; teeth and tongue are what is painted where nothing is known.
    own, painted = (int((speak(who, 1.3)[1].max(axis=-1) < 50).sum()) for who in (person, None))
    assert own > 2 * painted


def test_of_mouths_alike_the_one_said_with_the_sound_is_lent(person: Person) -> None:
    mouth, _ = speak(person, 1.3)
    usual = int(mouth._lending.plan.lender[-1]) - 2  # the bank begins above one frame
    lips, numbers = person.bank.faces.lips, person.bank.numbers
    unlike = np.abs(lips - lips[usual]).sum(axis=1) + 9.0 * (np.abs(numbers - usual) < 3)
    other = int(unlike.argmin())  # in another syllable
    sounds = np.ones((len(numbers), 1), np.float32)
    sounds[other] = 0
    taught = Person(person.lips, dataclasses.replace(person.bank, sounds=sounds))
    for said, lender in ((np.zeros(1), other), (np.ones(1), usual), (None, usual)):
        found = speak(taught, 1.3, said)[0]._lending.plan.lender[-1] - 2
        assert found == lender, said
    unknown = dataclasses.replace(taught.bank, sounds=np.full_like(sounds, np.nan))
    found = speak(Person(person.lips, unknown), 1.3, np.zeros(1))[0]._lending.plan.lender[-1] - 2
    assert found == usual  # what is not known does not count


def test_banks_of_before_sounds_were_kept_are_read(person: Person, tmp_path: Path) -> None:
    sounds = np.zeros((len(person.bank), 3), np.float32)
    taught = Person(person.lips, dataclasses.replace(person.bank, sounds=sounds))
    taught.save(tmp_path)
    assert Person.read(tmp_path).knows(np.zeros((7, 3), np.float32))
    assert not Person.read(tmp_path).knows(None)
    path = tmp_path / "person.arrays"
    arrays = read_arrays(path)
    del arrays["bank.sounds"]
    write_arrays(path, arrays)
    earlier = Person.read(tmp_path)
    assert earlier.bank.sounds.shape == (len(person.bank), 0)
    assert not earlier.knows(np.zeros((7, 3), np.float32))
    assert len(earlier.bank.rows(np.array([1, 4])).sounds) == 2


def test_pictures_of_a_bank_are_those_that_were_put_in(person: Person) -> None:
    speaker = study_speaker(track_of(POINTS), BASIS, Pads())
    found = person.bank.find(7)
    expected = cut_mouth(PICTURES[7], speaker.landmarks_px[7, :, :2])
    assert found.origin == expected.origin
    difference = found.rgb.astype(int) - expected.rgb
    assert np.abs(difference).mean() < 2.5  # of JPEG, of grained skin
    np.testing.assert_array_equal(found.landmarks_px, speaker.landmarks_px[7])


def test_banks_of_two_videos_are_no_neighbours(person: Person) -> None:
    both = MouthBank.join([person.bank, person.bank])
    steps = np.diff(both.numbers)
    assert (steps > 0).all()
    assert (steps > 1).sum() == 1
    again = both.find(int(both.numbers[32 + 7]))
    np.testing.assert_array_equal(again.rgb, person.bank.find(7).rgb)


def test_a_bank_is_kept_small_and_spread(person: Person) -> None:
    faces = person.bank.faces
    small = person.bank.within(2 * person.bank.num_bytes // 3, spread_of(faces.angles, faces.lips))
    assert 0 < small.num_bytes <= 2 * person.bank.num_bytes // 3
    openings_kept = small.faces.lips[:, OPENING]
    assert np.ptp(openings_kept) > 0.8 * np.ptp(faces.lips[:, OPENING])
    number = int(small.numbers[-1])
    np.testing.assert_array_equal(small.find(number).rgb, person.bank.find(number).rgb)


def test_a_person_comes_back_from_the_disk(person: Person, tmp_path: Path) -> None:
    person.save(tmp_path)
    read = Person.read(tmp_path)
    np.testing.assert_array_equal(read.bank.pictures, person.bank.pictures)
    for field in dataclasses.fields(person.lips):
        saved, found = (getattr(p.lips, field.name) for p in (person, read))
        np.testing.assert_array_equal(saved, found)
    path = tmp_path / "person.arrays"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ConfigError, match=r"cannot be read.*run scripts/personalise.py again"):
        Person.read(tmp_path)
    with pytest.raises(ConfigError, match=r"holds no person\.arrays"):
        Person.read(tmp_path / "nowhere")


def test_known_lips_move_as_far_as_elsewhere(person: Person) -> None:
    """One frame says nothing of that; what people have in common stands in for a stranger's."""
    track = track_of(POINTS[:1])
    known, stranger = (study_speaker(track, BASIS, Pads(), k).range for k in (person.lips, None))
    np.testing.assert_allclose(known.deviation, person.lips.deviation)
    assert (known.high - known.mean >= person.lips.high - person.lips.mean - 1e-9).all()
    assert np.abs(stranger.deviation - person.lips.deviation).max() > 0.01


def test_a_person_of_other_lip_measures_is_learnt_again(person: Person, tmp_path: Path) -> None:
    """Their numbers would fit, and purse lips that shall rest."""
    person.save(tmp_path)
    path = tmp_path / "person.arrays"
    earlier = {
        f"range.{name.removeprefix('lips.')}" if name.startswith("lips.") else name: array
        for name, array in read_arrays(path).items()
    }
    write_arrays(path, earlier)
    with pytest.raises(ConfigError, match=r"cannot be read.*run scripts/personalise.py again"):
        Person.read(tmp_path)
