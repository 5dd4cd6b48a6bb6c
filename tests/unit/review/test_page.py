"""The report as a page, as numbers, and as three lines."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError, MediaError
from retalking.review.curves import Line, draw_curves
from retalking.review.fates import Fates
from retalking.review.findings import judge
from retalking.review.page import Curves
from retalking.review.review import Review, check_report_path

EVIL = "<script>alert(1)<x>\"'&.mp4"


def review(**figures: float) -> Review:
    time_s = np.arange(40) / 25
    yes = np.ones(40, np.bool_)
    wave = np.sin(time_s)
    curves = Curves(time_s, wave, wave, wave, yes, yes, ~yes)
    fates = Fates(("edited",) * 37 + ("fading",) + ("no face",) * 2)
    sheet = np.zeros((20, 30, 3), np.uint8)
    return Review(Path(EVIL), fates, judge(figures), {"expert": EVIL}, curves, sheet)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data")]


def test_the_page_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    review(follow=0.1, late_ms=320.0).save(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    tags = Tags()
    tags.feed(text)
    assert not tags.names & {"script", "link", "iframe", "object", "base", "form"}
    assert len(tags.links) == 1
    assert tags.links[0].startswith("data:image/jpeg;base64,")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 3
    assert re.search(r'\son\w+="', text) is None
    assert "+320 ms" in text


def test_three_lines_say_what_to_look_at() -> None:
    first, frames, lips = review(follow=0.1, late_ms=320.0, leak=0.1).lines()
    assert first.startswith("review: look at 2")
    assert "+320 ms" in first
    assert frames == "frames: 37 edited, 1 fading, 2 no face"
    assert "old words 0.10" in lips
    assert review(follow=0.9).lines()[0] == "review: nothing stands out"


def test_json_holds_figures_and_sentences(tmp_path: Path) -> None:
    review(hidden=0.5).save(tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["good"] is False
    (figure,) = found["figures"]
    assert figure["name"] == "hidden"
    assert figure["sentence"].startswith("Something hides the mouth in 50 %")
    assert found["frame_ranges"] == {"edited": "0-36", "fading": "37", "no face": "38-39"}
    assert len(found["curves"]["made"]) == 40


def test_other_suffixes_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.html or \.json"):
        check_report_path(tmp_path / "r.pdf")
    with pytest.raises(MediaError, match="does not exist"):
        check_report_path(tmp_path / "none" / "r.html")


def test_curves_break_where_nothing_is_seen_and_stay_small() -> None:
    count = 90_000  # an hour
    time_s = np.arange(count) / 25
    seen = np.ones(count, np.bool_)
    seen[30_000:60_000] = False
    lines = {"a & b": Line(np.sin(time_s), "red")}
    svg = draw_curves(time_s, lines, {"quiet": (~seen, "#eee")}, seen)
    assert svg.count("<polyline") == 2
    assert "a &amp; b" in svg
    assert len(svg) < 40_000
