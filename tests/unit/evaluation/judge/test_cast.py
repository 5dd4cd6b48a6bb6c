"""Who speaks whose words, and with which sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError
from retalking.evaluation.judge.cast import Speaker, Trial, choose_trials
from retalking.evaluation.judge.dubs import hear, shift
from retalking.media.sound import audio
from retalking.media.sound.wav import write_clip
from retalking.types import AudioClip
from tests.media import tone, write_audio

PEOPLE = [Speaker(f"clip{k}", Path(f"clip{k}.mp4"), f"person{k % 5}") for k in range(8)]


def test_everybody_speaks_the_words_of_another_person() -> None:
    trials = [trial for trial in choose_trials(PEOPLE) if trial.kind == "cross"]
    identity = {person.video: person.identity for person in PEOPLE}
    assert len(trials) == len(set(trials)) == 12
    assert all(identity[trial.face] != trial.speaker.identity for trial in trials)
    first = trials[:5]
    assert len({identity[trial.face] for trial in first}) == 5
    assert len({trial.speaker.identity for trial in first}) == 5


def test_the_choice_depends_on_names_and_seed_alone() -> None:
    assert choose_trials(PEOPLE) == choose_trials(PEOPLE[::-1])
    assert choose_trials(PEOPLE) != choose_trials(PEOPLE, seed=1)


def test_every_kind_is_limited() -> None:
    stills = [Path("a.jpg"), Path("b.jpg"), Path("c.jpg")]
    trials = choose_trials(PEOPLE, stills, limit=2)
    assert [t.kind for t in trials] == ["cross"] * 2 + ["silence"] * 2 + ["self"] * 2 + [
        "still"
    ] * 2
    assert all(t.face == t.speaker.video for t in trials if t.kind in ("silence", "self"))


def test_one_person_cannot_be_judged() -> None:
    with pytest.raises(ConfigError, match="1 person"):
        choose_trials(PEOPLE[:1])


def test_sound_is_moved_by_whole_samples() -> None:
    sound = np.float32([1, 2, 3])
    np.testing.assert_array_equal(shift(sound, 2), [0, 0, 1, 2, 3])
    np.testing.assert_array_equal(shift(sound, -2), [3])
    np.testing.assert_array_equal(shift(sound, 0), sound)


def test_words_are_heard_in_step_with_their_own_lips(tmp_path: Path) -> None:
    """A sound that is 3 frames late begins where the speaker's lips do."""
    late = np.concatenate([np.zeros(1920, np.float32), tone(1.0)])
    write_audio(tmp_path / "b.wav", late)
    speaker = Speaker("b", tmp_path / "b.wav", "bob", -0.12)
    heard = hear(Trial("cross", Path("a.mp4"), speaker), 0.5)
    assert len(heard.samples) == 8000
    np.testing.assert_allclose(heard.samples, tone(1.0)[:8000], atol=1e-3)
    assert not hear(Trial("silence", Path("a.mp4"), speaker), 0.5).samples.any()


def test_written_speech_is_read_back(tmp_path: Path) -> None:
    write_clip(tmp_path / "speech.wav", AudioClip(tone(0.2), 16000))
    found = audio.load(tmp_path / "speech.wav").samples
    np.testing.assert_allclose(found, tone(0.2), atol=1e-6)
