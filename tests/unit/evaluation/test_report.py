"""What a report says: measured and published figures apart, and everything that is left out."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from retalking.evaluation.pairs import Pair
from retalking.evaluation.plots import plot_quantity
from retalking.evaluation.report import Report, summarise
from retalking.evaluation.result_folder import Record
from retalking.evaluation.tally import Tally
from retalking.metrics.cpbd import Cpbd
from tests.toy_metrics import Brightness

PAIRS = [Pair(n, Path(f"/v/{n}.mp4"), Path(f"/a/{n}.wav")) for n in range(2)]


@pytest.fixture
def report() -> Report:
    """Two ablations of table 3 on two clips; a third method of our own."""
    metrics = {"brightness": Brightness(), "cpbd": Cpbd()}
    labels = {"a": "L-Net", "b": "Odd | one"}
    record = Record(
        title="Table 3",
        notes=["Lite weights."],
        published="table3",
        pairs="0",
        shard="1/1",
        methods={name: {"label": label} for name, label in labels.items()},
        metrics={name: {} for name in metrics},
        left_out={"fid": "weights are not here"},
    )
    tallies = {name: {metric: Tally() for metric in metrics} for name in labels}
    for number, level in enumerate((10.0, 30.0)):
        sums = {"count": np.array(1.0)}
        tallies["a"]["brightness"].add(
            number, "s", metrics["brightness"], {**sums, "brightness": np.array(level)}
        )
    tallies["a"]["cpbd"].add(1, "s", metrics["cpbd"], {**sums, "cpbd": np.array(0.25)})
    problems = {"a": {"00000": {"cpbd": "too small"}}, "b": {}}
    return summarise(record, PAIRS, metrics, tallies, problems)


def test_published_figures_stand_below_the_rows_they_belong_to(report: Report) -> None:
    assert [(row.method, row.origin) for row in report.rows] == [
        ("Odd | one", "measured here"),
        ("L-Net w/o cross-att.", "published"),
        ("L-Net", "measured here"),
        ("L-Net", "published"),
        ("L-Net + E-Net", "published"),
        ("L-Net + E-Net + D-Net", "published"),
    ]
    names = [quantity.name for quantity in report.quantities]
    assert names == ["fid", "cpbd", "lse_d", "lse_c", "brightness"]
    page = report.markdown().splitlines()
    assert page[:4] == [
        "# Table 3",
        "",
        "Lite weights.",
        "Rows marked published are printed in the paper (Table 3, ablation on HDTF).",
    ]
    assert (
        "| method | origin | fid ↓ | cpbd ↑ | lse_d ↓ | lse_c ↑ | brightness (levels) ↑ | clips |"
        in page
    )
    assert "| L-Net | measured here | – | 0.25 | – | – | 20 | 1–2 |" in page
    assert "| L-Net | published | 6.471 | 0.2755 | 9.578 | 4.382 | – |  |" in page
    assert "| Odd \\| one | measured here | – | – | – | – | – |  |" in page
    assert "- fid: weights are not here" in page
    assert "- a, pair 00000, cpbd: too small" in page
    assert not report.is_complete


def test_the_files_hold_the_same_figures(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == report.markdown()
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[2]["brightness"] == "20.0"
    assert rows[3] == {
        "method": "L-Net", "origin": "published", "fid": "6.471", "cpbd": "0.2755",
        "lse_d": "9.578", "lse_c": "4.382", "brightness": "",
    }  # fmt: skip
    with (tmp_path / "clips.csv").open(encoding="utf-8", newline="") as file:
        clips = list(csv.DictReader(file))
    assert [(clip["pair"], clip["brightness"], clip["cpbd"]) for clip in clips] == [
        ("00000", "10.0", ""),
        ("00001", "30.0", "0.25"),
    ]
    found = json.loads((tmp_path / "report.json").read_bytes())
    assert found["rows"][2]["values"] == {"brightness": 20.0, "cpbd": 0.25}
    assert found["rows"][2]["num_clips"] == {"brightness": 2, "cpbd": 1}
    assert found["problems"]["a"]["00000"]["cpbd"] == "too small"
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "brightness.svg",
        "cpbd.svg",
    ]
    chart = ET.parse(tmp_path / "plots" / "cpbd.svg")
    texts = [element.text for element in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert {"L-Net", "L-Net (published)", "0.25", "0.2755"} <= set(texts)


def test_bars_and_dots_are_drawn_to_scale() -> None:
    chart = ET.fromstring(plot_quantity("a < b", {"one": 2.0, "two": -2.0}, {"one": [0.0, 4.0]}))
    space = "{http://www.w3.org/2000/svg}"
    _, one, two = chart.findall(f"{space}rect")
    zero = float(two.attrib["x"]) + float(two.attrib["width"])
    assert float(one.attrib["x"]) == pytest.approx(zero, abs=0.2)
    assert float(one.attrib["width"]) == pytest.approx(float(two.attrib["width"]), abs=0.2)
    first, second = (float(dot.attrib["cx"]) for dot in chart.findall(f"{space}circle"))
    assert first == pytest.approx(zero, abs=0.2)
    assert second - zero == pytest.approx(2 * float(one.attrib["width"]), abs=0.4)
    assert chart.find(f"{space}text").text == "a < b"  # type: ignore[union-attr]


def test_a_chart_of_equal_values_can_be_drawn() -> None:
    ET.fromstring(plot_quantity("zero", {"one": 0.0}, {}))
