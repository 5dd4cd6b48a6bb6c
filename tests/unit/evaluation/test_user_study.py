"""The rating page gives nothing away, and answers become means with intervals."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from retalking.errors import ConfigError, MediaError
from retalking.evaluation.user_study.ratings import Interval, aggregate
from retalking.evaluation.user_study.study import PAGE_TEMPLATE, Sample, write_study

METHODS, NAMES = ("Ours", "LipGAN", "Wav2Lip"), ("00000", "00001")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    found = []
    for method in METHODS:
        (tmp_path / method).mkdir()
        for name in NAMES:
            path = tmp_path / method / f"{name}.mp4"
            path.write_bytes(f"film {name} of somebody {len(found)}".encode())
            found.append(Sample(method, name, path))
    return found


def data_of(page: Path) -> dict[str, object]:
    found = re.search(r"const study = (\{.*\});", page.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found[1])


def test_the_page_is_whole_and_blind(samples: list[Sample], tmp_path: Path) -> None:
    page = write_study(samples, tmp_path / "study")
    text = page.read_text(encoding="utf-8")
    for name in (*METHODS, *NAMES, str(tmp_path)):
        assert name not in text
    assert not re.search(r"https?://|src=|href=|@import|url\(", text.replace("link.href", ""))
    key = json.loads((tmp_path / "study" / "key.json").read_bytes())
    data = data_of(page)
    assert data["study"] == key["study"]
    items = {item["id"]: item["source"] for item in data["items"]}  # type: ignore[attr-defined]
    assert items.keys() == key["items"].keys()
    for sample in samples:
        name = next(
            n
            for n, k in key["items"].items()
            if k == {"method": sample.method, "sample": sample.name}
        )
        kind, _, content = items[name].partition(",")
        assert kind == "data:video/mp4;base64"
        assert base64.b64decode(content) == sample.path.read_bytes()


def test_videos_may_lie_beside_the_page(samples: list[Sample], tmp_path: Path) -> None:
    page = write_study(samples, tmp_path / "study", "beside")
    sources = [item["source"] for item in data_of(page)["items"]]  # type: ignore[attr-defined]
    copied = sorted((tmp_path / "study" / source).read_bytes() for source in sources)
    assert copied == sorted(sample.path.read_bytes() for sample in samples)
    assert all(re.fullmatch(r"media/[0-9a-f]{12}\.mp4", source) for source in sources)


def test_the_order_is_drawn_from_the_seed(samples: list[Sample], tmp_path: Path) -> None:
    def order(seed: int) -> list[tuple[str, str]]:
        folder = tmp_path / f"{seed} {len(list(tmp_path.iterdir()))}"
        page = write_study(samples, folder, seed=seed)
        key = json.loads((folder / "key.json").read_bytes())["items"]
        ids = [item["id"] for item in data_of(page)["items"]]  # type: ignore[attr-defined]
        return [(key[name]["method"], key[name]["sample"]) for name in ids]

    assert order(1) == order(1) != order(2)
    assert order(1) != [(sample.method, sample.name) for sample in samples]


def test_a_study_that_compares_nothing_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got 1 method\(s\), expected two or more"):
        write_study(samples[:2], tmp_path / "study")
    with pytest.raises(ConfigError, match="user study: Wav2Lip has no 00001"):
        write_study(samples[:5], tmp_path / "study")
    with pytest.raises(ConfigError, match="user study: Ours has the same video twice"):
        write_study([samples[0], *samples], tmp_path / "study")
    odd = Sample("Ours", "00000", tmp_path / "a.mkv")
    with pytest.raises(MediaError, match=r"a\.mkv: browsers play \.mp4"):
        write_study([odd, *samples[1:]], tmp_path / "study")
    gone = Sample("Ours", "00000", tmp_path / "gone.mp4")
    with pytest.raises(MediaError, match=r"gone\.mp4: cannot be put into the study"):
        write_study([gone, *samples[1:]], tmp_path / "study")


def test_the_template_has_the_place_for_the_study() -> None:
    assert PAGE_TEMPLATE.read_text(encoding="utf-8").count("/*STUDY*/null") == 1


def write_answers(
    folder: Path, person: str, scores: dict[str, list[tuple[int, int]]], **changes: object
) -> Path:
    """Answers of one person: (visual, lip sync) for the samples of each method in turn."""
    key = json.loads((folder / "key.json").read_bytes())
    ratings = {}
    for name, item in key["items"].items():
        given = scores.get(item["method"], [])
        place = NAMES.index(item["sample"])
        if place < len(given):
            visual, sync = given[place]
            ratings[name] = {"visual_quality": visual, "lip_sync_quality": sync}
    answers = {"study": key["study"], "participant": person, "order": [*ratings]}
    path = folder / f"{person}.json"
    path.write_text(json.dumps({**answers, "ratings": ratings, **changes}))
    return path


def test_means_and_intervals_are_students_over_people(
    samples: list[Sample], tmp_path: Path
) -> None:
    study = tmp_path / "study"
    write_study(samples, study)
    ours = [[(5, 4), (4, 4)], [(3, 5), (5, 5)], [(4, 3), (4, 2)]]
    theirs = [[(3, 4), (2, 4)], [(3, 3), (3, 4)], [(4, 1), (1, 2)]]
    files = [
        write_answers(study, f"p{n}", {"Ours": a, "Wav2Lip": b})
        for n, (a, b) in enumerate(zip(ours, theirs, strict=True))
    ]
    result = aggregate(study / "key.json", files)
    assert result.num_opinions == 12
    assert result.left_out == {}
    assert set(result.means) == {"Ours", "Wav2Lip"}
    a = np.array(ours, float).mean(axis=1)
    b = np.array(theirs, float).mean(axis=1)
    for column, scale in enumerate(("visual_quality", "lip_sync_quality")):
        expected = stats.ttest_1samp(a[:, column], 0).confidence_interval(0.95)
        found = result.means["Ours"][scale]
        assert found.mean == pytest.approx(a[:, column].mean())
        assert found.mean + found.half_width == pytest.approx(expected.high)
        paired = stats.ttest_rel(a[:, column], b[:, column]).confidence_interval(0.95)
        difference = result.differences["Wav2Lip"][scale]
        assert difference.mean - difference.half_width == pytest.approx(paired.low)
        assert difference.num_people == 3
    page = result.markdown()
    assert "| Ours | published | 4.171 | 4.100 |" in page
    assert "3 people, 12 rated videos." in page
    assert json.loads(json.dumps(result.as_json()))["means"]["Ours"]["visual_quality"]["mean"] == (
        pytest.approx(25 / 6)
    )


def test_one_person_gives_no_interval() -> None:
    interval = Interval.of([3.5])
    assert (interval.mean, interval.num_people) == (3.5, 1)
    assert str(interval) == "3.500"


def test_answers_that_do_not_count_are_named(samples: list[Sample], tmp_path: Path) -> None:
    study = tmp_path / "study"
    write_study(samples, study)
    good = write_answers(study, "good", {"Ours": [(5, 5)], "LipGAN": [(1, 1)]})
    other = write_answers(study, "other", {"Ours": [(5, 5)]}, study="elsewhere")
    six = write_answers(study, "six", {"Ours": [(6, 5)]})
    empty = write_answers(study, "empty", {})
    strange = write_answers(
        study, "strange", {}, ratings={"zz": {"visual_quality": 1, "lip_sync_quality": 1}}
    )
    again = write_answers(study, "again", {"Ours": [(1, 1)]}, participant="good")
    files = [good, other, six, empty, strange, again, study / "gone.json"]
    result = aggregate(study / "key.json", files)
    reasons = {Path(name).stem: reason for name, reason in result.left_out.items()}
    assert reasons.keys() == {"other", "six", "empty", "strange", "again", "gone"}
    assert "is of study elsewhere" in reasons["other"]
    assert "less than or equal to 5" in reasons["six"]
    assert reasons["strange"] == "rates zz, which is not in the study"
    assert reasons["again"] == "participant good is in an earlier file"
    assert "## Left out (6)" in result.markdown()
    assert result.means["Ours"]["visual_quality"].mean == 5
    with pytest.raises(ConfigError, match="no answers for it among 1 files"):
        aggregate(study / "key.json", [six])
    with pytest.raises(ConfigError, match=r"gone\.json: cannot be read"):
        aggregate(study / "gone.json", [good])
    with pytest.raises(ConfigError, match=r"good\.json: no key of a study: "):
        aggregate(good, [good])


@pytest.mark.parametrize("score", [True, "5", 4.0, None])
def test_scores_are_whole_numbers(samples: list[Sample], tmp_path: Path, score: object) -> None:
    write_study(samples, tmp_path / "study")
    good = write_answers(tmp_path / "study", "good", {"Ours": [(5, 5)]})
    odd = write_answers(tmp_path / "study", "odd", {"Ours": [(score, 5)]})  # type: ignore[list-item]
    assert list(aggregate(tmp_path / "study" / "key.json", [good, odd]).left_out) == [str(odd)]


def test_what_others_wrote_cannot_draw_on_the_report(samples: list[Sample], tmp_path: Path) -> None:
    write_study(samples, tmp_path / "study")
    good = write_answers(tmp_path / "study", "good", {"Ours": [(5, 5)]})
    odd = write_answers(
        tmp_path / "study", "odd", {"Ours": [(5, 5)]}, study="\x1b[2J<script>alert(1)</script>"
    )
    page = aggregate(tmp_path / "study" / "key.json", [good, odd]).markdown()
    assert "is of study" in page
    assert "\x1b" not in page
    assert "<script>" not in page
