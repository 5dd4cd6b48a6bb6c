"""A job that is killed ends, run again, as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.measure import kills


@pytest.mark.slow
def test_killed_jobs_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert kills.main(["--kills", "4", "--frames", "16", "--seed", "3"]) == 0
    output = capsys.readouterr().out
    assert output.count("| SIGTERM |") == output.count("| SIGKILL |") == 2
    assert "4 kills: 0 faults" in output


def test_what_is_left_over_is_seen(tmp_path: Path) -> None:
    wanted = ("out/out.mkv", "cache/0.arrays")
    kept = "cache/jobs/0/00000000.arrays"
    stray = (
        "out/.retalking-0123456789ab.part.mkv",
        "cache/.retalking-0123456789ab.part.arrays",
        "cache/jobs/0/.retalking-0123456789ab.part.arrays",
        "tmp/frames.npy",
    )
    for name in (*wanted, kept, *stray):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kills.list_left_over(tmp_path) == sorted(stray)
    assert kills.list_left_over(tmp_path, finished=True) == sorted((kept, *stray))
