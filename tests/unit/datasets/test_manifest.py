from __future__ import annotations

import re
from pathlib import Path

import pytest

from datasets.prepare.corpora import list_folder, list_hdtf, list_lrs2, list_voxceleb
from datasets.prepare.manifest import ClipRow, read_manifest, write_manifest
from retalking.errors import ConfigError

HEADER = "clip\tmedia\tidentity\tsplit\tlicence\n"


def _write(folder: Path, text: str, name: str = "clips.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize("name", ["clips.tsv", "clips.csv"])
def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    rows = [
        ClipRow("a/1", tmp_path / "a, b.mp4", "ann", "train", "CC0", audio_offset_s=-0.08),
        ClipRow("b", tmp_path / "b.mp4", "bob", "val", "own", audio=tmp_path / "b.wav"),
        ClipRow("c", tmp_path / "c.mp4", "cyd", "val", "own", has_audio=False, frame_rate=29.97),
    ]
    write_manifest(tmp_path / name, rows)
    assert read_manifest(tmp_path / name) == rows


def test_relative_paths_start_at_the_manifest(tmp_path: Path) -> None:
    path = _write(tmp_path, HEADER + "a\tvideos/a.mp4\tann\ttrain\tCC0\n")
    assert read_manifest(path)[0].media == tmp_path / "videos/a.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEADER, "is empty"),
        ("clip\tmedia\tidentity\tsplit\n", "lacks column 'licence'"),
        (HEADER.replace("\n", "\tcolour\n"), "unknown column 'colour'"),
        (HEADER + "a\ta.mp4\tann\ttrain\tCC0\n" * 2, "line 3: clip 'a' is already on line 2"),
        (HEADER + "a\ta.mp4\t\ttrain\tCC0\n", "line 2: identity is empty"),
        (HEADER + "a\ta.mp4\tann\ttrain\n", "line 2: has another number of fields"),
        (
            HEADER.replace("\n", "\taudio_offset_s\n") + "a\ta.mp4\tann\ttrain\tCC0\tsoon\n",
            "audio_offset_s: got 'soon', expected a number",
        ),
        (
            HEADER.replace("\n", "\tframe_rate\n") + "a\ta.mp4\tann\ttrain\tCC0\t0\n",
            "frame_rate: got 0, expected more than 0",
        ),
    ],
)
def test_a_faulty_manifest_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such manifest"):
        read_manifest(tmp_path / "none.tsv")


def test_a_folder_of_videos_is_split_by_person(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"p{n}/take{k}.mp4" for n in range(40) for k in range(2)), "p0/notes.txt")
    rows = list_folder(tmp_path, "own", val_every=4)
    assert len(rows) == 80
    splits = {row.identity: row.split for row in rows}
    assert all(row.split == splits[row.identity] for row in rows)
    assert 3 <= list(splits.values()).count("val") <= 20
    assert {row.split for row in list_folder(tmp_path, "own", val_every=0)} == {"train"}


def test_voxceleb_is_found_in_both_layouts(tmp_path: Path) -> None:
    _touch(tmp_path / "cut", "train/id1#abc#001#100.mp4", "test/id2#abc#001#100.mp4")
    _touch(tmp_path / "tree", "dev/mp4/id00012/video/00001.mp4")
    cut = {row.identity: row.split for row in list_voxceleb(tmp_path / "cut", val_every=0)}
    assert cut == {"id1": "train", "id2": "val"}
    assert list_voxceleb(tmp_path / "tree", 0)[0].identity == "id00012"


def test_lrs2_follows_its_lists(tmp_path: Path) -> None:
    root = tmp_path / "mvlrs_v1"
    _touch(root, "main/55/00001.mp4", "main/56/00002.mp4")
    for name, text in {"train": "55/00001", "val": "56/00002", "test": "57/1 NF"}.items():
        _write(root, text + "\n", f"{name}.txt")
    rows = list_lrs2(tmp_path)
    assert [(row.clip, row.split) for row in rows] == [
        ("main/55/00001", "train"),
        ("main/56/00002", "val"),
        ("main/57/1", "test"),
    ]
    assert rows[0].media == root / "main/55/00001.mp4"
    (root / "val.txt").unlink()
    with pytest.raises(ConfigError, match=r"no val\.txt of LRS2"):
        list_lrs2(tmp_path)


def test_hdtf_keeps_a_speaker_in_one_split(tmp_path: Path) -> None:
    _touch(tmp_path, "WDA_BarackObama_000_0.mp4", "WDA_BarackObama_001_3.mp4", "RD_Radio1_0.mp4")
    rows = list_hdtf(tmp_path)
    assert {row.identity for row in rows} == {"WDA_BarackObama", "RD_Radio"}


def test_one_person_is_split_by_videos_and_one_video_by_time(tmp_path: Path) -> None:
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "a.mp4").touch()
    (only,) = list_folder(tmp_path, "own", val_every=20)
    assert (only.split, only.val_share) == ("train", 0.1)
    for name in "bcdef":
        (tmp_path / "me" / f"{name}.mp4").touch()
    rows = list_folder(tmp_path, "own", val_every=3)
    assert {row.identity for row in rows} == {"me"}
    assert {row.split for row in rows} == {"train", "val"}
    assert not any(row.val_share for row in rows)


def test_two_persons_are_never_all_in_one_split(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "talk.mp4").touch()
    for val_every in (1, 1000):
        splits = [row.split for row in list_folder(tmp_path, "own", val_every)]
        assert sorted(splits) == ["train", "val"]


@pytest.mark.parametrize("lister", [list_voxceleb, list_hdtf])
def test_an_empty_corpus_folder_is_refused(tmp_path: Path, lister) -> None:
    with pytest.raises(ConfigError, match="no clip found; expected"):
        lister(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        lister(tmp_path / "missing")
