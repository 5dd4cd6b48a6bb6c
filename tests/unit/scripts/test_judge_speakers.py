"""Which clips may take part before the outside judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from retalking.errors import ConfigError
from scripts.judge.speakers import read_speakers
from tests.media import write_video


def write_list(folder: Path, *rows: str) -> Path:
    (folder / "clips").mkdir(exist_ok=True)
    path = folder / "clips" / "MANIFEST.tsv"
    path.write_text("\n".join(["file\tsplit\tidentity\tsync_r\tlag", *rows]))
    return path


def test_research_clips_take_part_with_their_lag(tmp_path: Path) -> None:
    for name, frames in (("a", 30), ("short", 20)):
        write_video(tmp_path / f"{name}.mp4", frames)
    path = write_list(
        tmp_path,
        "a.mp4\tval\tann\t0.8\t3",
        "short.mp4\tval\tbob\t0.8\t1",
        "misfit.mp4\tval\tcas\t0.4\t1",
        "unknown.mp4\tval\tdan\t0.8\t",
        "other.mp4\ttrain\teve\t0.8\t1",
    )
    (found,) = read_speakers(path, 1.0)
    assert (found.name, found.identity) == ("a", "ann")
    assert found.audio_offset_s == pytest.approx(-0.12)
    assert found.video == tmp_path / "a.mp4"


def test_a_manifest_of_the_project_takes_part_with_its_offset(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 30)
    path = tmp_path / "list.tsv"
    path.write_text(
        "clip\tmedia\tidentity\tsplit\tlicence\taudio_offset_s\nval/a\ta.mp4\tann\tval\tCC0\t0.04"
    )
    (found,) = read_speakers(path, 1.0)
    assert (found.name, found.audio_offset_s) == ("val_a", 0.04)


def test_lists_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such list"):
        read_speakers(tmp_path / "none.tsv", 4.0)
    with pytest.raises(ConfigError, match=r"line 2.*lag"):
        read_speakers(write_list(tmp_path, "a.mp4\tval\tann\t0.8\tmany"), 4.0)
    with pytest.raises(ConfigError, match=r"no clip .* 4 s"):
        read_speakers(write_list(tmp_path, "a.mp4\ttrain\tann\t0.8\t1"), 4.0)
