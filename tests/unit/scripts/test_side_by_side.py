"""Checkouts are compared by turns, with medians of what their jobs say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from scripts.measure import side_by_side

_BENCHMARK = """
import argparse, json
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--json", type=Path)
parser.add_argument("--tmp-dir", type=Path)
parser.add_argument("--face")
own = parser.parse_args()
assert own.face == "talk.mp4"
log = Path(__file__).parent / "log"
log.write_text(log.read_text() + "x" if log.exists() else "x")
spent = {spent} + 10 * (len(log.read_text()) == 3)
sum(range(2_000_000))
own.json.write_text(json.dumps({{"rows": [
    {{"stage": "warp", "engine": "OpenCV", "frames": 4, "ms per frame": spent,
      "core ms per frame": spent / 2, "peak MB so far": 600}},
    {{"stage": "whole job", "frames": 4, "ms per frame": 2 * spent, "peak MB so far": 700}},
]}}))
"""


def checkout(folder: Path, spent: float) -> Path:
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "benchmark.py").write_text(_BENCHMARK.format(spent=spent))
    return folder


def test_two_checkouts_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = checkout(tmp_path / "old", 8.0), checkout(tmp_path / "new", 5.0)
    monkeypatch.setattr(side_by_side, "REPOSITORY", new)
    rows = side_by_side.compare_checkouts(old, ["--face", "talk.mp4"], rounds=3)
    table = {str(row["stage"]): row for row in rows}
    assert list(table) == ["warp", "whole job"]
    # One of the three jobs beside other work took longer; the median leaves it out.
    for beside in ("alone", "beside other work"):
        assert table["warp"][f"ms before, {beside}"] == 8.0
        assert table["warp"][f"ms after, {beside}"] == 5.0
        assert table["whole job"][f"ms after, {beside}"] == 10.0
    assert table["warp"]["engine"] == "OpenCV"
    assert (table["warp"]["core ms before"], table["warp"]["core ms after"]) == (4.0, 2.5)
    assert table["warp"]["MB after"] == 600
    assert float(str(table["whole job"]["core ms after"])) > 1
    assert table["whole job"]["MB before"] == 700
    assert (old / "scripts" / "log").read_text() == "x" * 6
    assert json.dumps(rows)


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkout with scripts/benchmark\.py"):
        side_by_side.compare_checkouts(tmp_path, [], 1)
