"""Lists of pairs, the paper's unpaired protocol, and shares of a list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from retalking.evaluation.pairs import (
    Pair,
    Talk,
    digest_of,
    make_unpaired,
    read_pairs,
    write_pairs,
)
from retalking.shard import Shard


def talks(count: int, clips_per_person: int = 1) -> list[Talk]:
    return [Talk(Path(f"{i:04d}.mp4"), f"person {i // clips_per_person}") for i in range(count)]


def test_a_list_is_quoted_as_in_a_shell_and_relative_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("# corpus\na.mp4 b.wav\n\n'my talk.mp4' \"sp#eech 1.wav\"\n/x/c.mp4 /x/c.mp4\n")
    pairs = read_pairs(path)
    assert [pair.number for pair in pairs] == [0, 1, 2]
    assert [pair.name for pair in pairs] == ["00000", "00001", "00002"]
    assert (pairs[0].video, pairs[0].audio) == (tmp_path / "a.mp4", tmp_path / "b.wav")
    assert (pairs[1].video.name, pairs[1].audio.name) == ("my talk.mp4", "sp#eech 1.wav")
    assert [pair.is_own_speech for pair in pairs] == [False, False, True]


def test_a_written_list_reads_back(tmp_path: Path) -> None:
    pairs = [Pair(0, tmp_path / "a b.mp4", tmp_path / "it's.wav"), Pair(1, Path("/x"), Path("/y"))]
    write_pairs(tmp_path / "list.txt", pairs)
    assert read_pairs(tmp_path / "list.txt") == pairs


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a.mp4\n", "line 1: got 1 names, expected VIDEO AUDIO"),
        ("a b\na b c\n", "line 2: got 3 names"),
        ("'a b\n", "line 1: No closing quotation"),
        ("# nothing\n", "no pairs"),
    ],
)
def test_a_wrong_list_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=fault):
        read_pairs(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.txt: cannot read the list of pairs"):
        read_pairs(tmp_path / "gone.txt")


def test_lrs2_gives_14k_pairs_evenly() -> None:
    pairs = make_unpaired(talks(1243), 14_000)
    assert len(pairs) == 14_000
    assert len({(pair.video, pair.audio) for pair in pairs}) == 14_000
    assert all(pair.video != pair.audio for pair in pairs)
    for used in (Counter(p.video for p in pairs), Counter(p.audio for p in pairs)):
        assert set(used.values()) <= {11, 12}


def test_nobody_is_given_their_own_voice() -> None:
    corpus = talks(12, clips_per_person=3)
    person = {talk.media: talk.identity for talk in corpus}
    pairs = make_unpaired(corpus, 12 * 9)
    assert all(person[pair.video] != person[pair.audio] for pair in pairs)
    with pytest.raises(ConfigError, match=r"12 videos of 4 people make 108 pairs .* expected 109"):
        make_unpaired(corpus, 109)


def test_lists_depend_on_the_seed_alone_and_shorter_ones_begin_longer_ones() -> None:
    corpus = talks(30)
    assert make_unpaired(corpus, 50) == make_unpaired(corpus, 80)[:50]
    assert make_unpaired(corpus, 50, seed=1) != make_unpaired(corpus, 50, seed=2)
    assert [pair.video.name for pair in make_unpaired(corpus, 3)] == [
        "0003.mp4",
        "0010.mp4",
        "0018.mp4",
    ]


def test_once_round_uses_every_video_once() -> None:
    pairs = make_unpaired(talks(7), None)
    assert len({pair.video for pair in pairs}) == len({pair.audio for pair in pairs}) == 7


def test_one_person_alone_makes_no_pairs() -> None:
    with pytest.raises(ConfigError, match="make 0 pairs with someone else's speech, expected at"):
        make_unpaired(talks(3, clips_per_person=3), None)


def test_shards_share_a_list_out() -> None:
    pairs = make_unpaired(talks(10), None)
    parts = [Shard.parse(f"{index}/3").of(pairs) for index in (1, 2, 3)]
    assert sorted((pair for part in parts for pair in part), key=lambda p: p.number) == pairs
    assert [len(part) for part in parts] == [4, 3, 3]
    assert str(Shard.parse("2/3")) == "2/3"


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "a/b", "1/0", "-1/3"])
def test_an_impossible_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected INDEX/COUNT"):
        Shard.parse(text)


def test_the_digest_ignores_where_a_corpus_lies_but_not_what_it_holds() -> None:
    here = [Pair(0, Path("/a/lrs2/x/1.mp4"), Path("/a/lrs2/y/2.mp4"))]
    there = [Pair(0, Path("/b/x/1.mp4"), Path("/b/y/2.mp4"))]
    other = [Pair(0, Path("/b/x/1.mp4"), Path("/b/y/3.mp4"))]
    assert digest_of(here) == digest_of(there) != digest_of(other)
