"""Whole jobs of upstream and of this repository are run by turns and compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from scripts.measure import upstream
from tests.media import write_video

_PROGRAM = """
import argparse, shutil, sys
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("face", "audio", "outfile", "tmp-dir", "profile"):
    parser.add_argument(f"--{{name}}")
own = parser.parse_args()
assert Path(own.audio).is_file() and Path.cwd() == Path({start_in!r})
seen = Path(__file__).parent / "seen"
names = seen.read_text().split() if seen.exists() else []
assert own.face not in names  # or upstream would use what it kept of this name
seen.write_text(" ".join([*names, own.face]))
assert (own.profile, own.tmp_dir is None) == {expected!r}
sum(range({work}))
shutil.copyfile(own.face, own.outfile)
sys.exit({code})
"""


def program(folder: Path, expected: tuple[str | None, bool], work: int, code: int = 0) -> Path:
    folder.mkdir()
    start_in = str(folder.resolve() if expected[1] else Path.cwd())
    text = _PROGRAM.format(start_in=start_in, expected=expected, work=work, code=code)
    (folder / "inference.py").write_text(text)
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    clip, speech = tmp_path / "talk.mp4", tmp_path / "speech.wav"
    write_video(clip, 6)
    speech.write_bytes(b"RIFF")
    return clip, speech


def test_both_dub_the_same_by_turns(
    tmp_path: Path, inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = program(tmp_path / "theirs", (None, True), 100_000_000)
    ours = program(tmp_path / "ours", ("official", False), 1)
    monkeypatch.setattr(upstream, "REPOSITORY", ours.resolve())
    options = ["--profile", "official"]
    rows = upstream.compare_with_upstream(theirs, Path(sys.executable), *inputs, options, 2)
    assert [row["program"] for row in rows] == ["upstream", "here"]
    assert [row["frames"] for row in rows] == [6, 6]
    assert rows[0]["speed"] == 1
    # A hundred million additions take a core longer than none do; time that passed may not.
    assert float(str(rows[0]["core ms per frame"])) > float(str(rows[1]["core ms per frame"]))
    assert all(len((folder / "seen").read_text().split()) == 2 for folder in (theirs, ours))


def test_failed_jobs_and_other_folders_are_named(tmp_path: Path, inputs: tuple[Path, Path]) -> None:
    broken = program(tmp_path / "broken", (None, True), 1, code=3)
    python = Path(sys.executable)
    with pytest.raises(ConfigError, match="upstream: the job ended with code 3"):
        upstream.compare_with_upstream(broken, python, *inputs, [], 1)
    with pytest.raises(ConfigError, match=r"no checkout with inference\.py"):
        upstream.compare_with_upstream(tmp_path, python, *inputs, [], 1)
