"""Evaluations that go on, are shared out, and name what they cannot do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError, MediaError
from retalking.evaluation.merging import merge
from retalking.evaluation.methods import Method, check_names, find_output
from retalking.evaluation.pairs import Pair
from retalking.evaluation.report import Report
from retalking.evaluation.result_folder import ResultFolder
from retalking.evaluation.runner import Plan, evaluate
from retalking.evaluation.tally import Tally
from retalking.metrics.metric import Metric
from retalking.shard import Shard
from tests import media
from tests.rounding import DOUBLE
from tests.toy_metrics import Brightness, Difference, Unmeasurable

NUM_PAIRS = 4
LOSSLESS = {"codec": "ffv1", "pixel_format": "bgr0"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, speech, and what two tools made of them; the second one skipped a pair."""
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("first", "second"):
        (folder / name).mkdir()
    for number in range(NUM_PAIRS):
        frames = media.write_video(folder / f"talk{number}.mkv", 3 + number, **LOSSLESS)
        media.write_audio(folder / f"speech{number}.wav", media.speech_like(0.04 * (3 + number)))
        media.write_video(folder / "first" / f"{number:05d}.mkv", pictures=frames, **LOSSLESS)
        if number != 2:
            dark = [frame // (number + 2) for frame in frames]
            media.write_video(folder / "second" / f"{number}.mkv", pictures=dark, **LOSSLESS)
    return folder


def make_plan(
    corpus: Path, metrics: dict[str, Metric] | None = None, shard: str = "1/1", **more: object
) -> Plan:
    pairs = [Pair(n, corpus / f"talk{n}.mkv", corpus / f"speech{n}.wav") for n in range(NUM_PAIRS)]
    methods = [
        Method.from_folder(name.title(), corpus / name, None) for name in ("first", "second")
    ]
    metrics = metrics or {"brightness": Brightness(), "difference": Difference()}
    plan = Plan("Toy", pairs, methods, metrics, shard=Shard.parse(shard))
    return dataclasses.replace(plan, **more)  # type: ignore[arg-type]


def values(report: Report) -> dict[str, dict[str, float]]:
    return {row.method: dict(row.values) for row in report.rows}


def test_results_are_measured_and_what_is_missing_is_counted(corpus: Path, tmp_path: Path) -> None:
    report = evaluate(make_plan(corpus), tmp_path / "out")
    first, second = report.rows
    assert first.values["difference"] == 0.0
    assert second.values["difference"] > 20
    assert first.num_clips == {"brightness": 4, "difference": 4}
    assert second.num_clips == {"brightness": 3, "difference": 3}
    assert not report.is_complete
    missing = report.problems["Second"]["00002"]["result"]
    assert missing.endswith("no 00002.mp4, 2.mp4 or talk2__speech2.mp4")
    assert "## Failed (1)\n\n- Second, pair 00002, result:" in report.markdown()
    assert json.loads((tmp_path / "out" / "problems.json").read_bytes()) == report.problems


def test_what_is_measured_is_not_measured_again(corpus: Path, tmp_path: Path) -> None:
    before = evaluate(make_plan(corpus), tmp_path)
    metrics: dict[str, Metric] = {"brightness": Brightness(), "difference": Difference()}
    again = evaluate(make_plan(corpus, metrics), tmp_path)
    assert metrics["brightness"].num_frames == 0  # type: ignore[attr-defined]
    assert values(again) == values(before)
    assert [clip.values for clip in again.clips] == [clip.values for clip in before.clips]


def test_a_metric_may_come_later(corpus: Path, tmp_path: Path) -> None:
    evaluate(make_plan(corpus, {"brightness": Brightness()}), tmp_path)
    both: dict[str, Metric] = {"brightness": Brightness(), "difference": Difference()}
    report = evaluate(make_plan(corpus, both), tmp_path)
    assert both["brightness"].num_frames == 0  # type: ignore[attr-defined]
    assert report.rows[0].num_clips == {"brightness": 4, "difference": 4}


def test_an_interrupted_run_keeps_what_it_measured(corpus: Path, tmp_path: Path) -> None:
    class Interrupted(Brightness):
        def score(self, clip, chunk):  # type: ignore[no-untyped-def]
            if clip.name.startswith("00001"):
                raise KeyboardInterrupt
            return super().score(clip, chunk)

    with pytest.raises(KeyboardInterrupt):
        evaluate(make_plan(corpus, {"brightness": Interrupted()}), tmp_path / "out")
    resumed = Brightness()
    report = evaluate(make_plan(corpus, {"brightness": resumed}), tmp_path / "out")
    assert {clip.name[:5] for clip in resumed.clips} == {"00001", "00002", "00003"}
    whole = evaluate(make_plan(corpus, {"brightness": Brightness()}), tmp_path / "whole")
    assert values(report) == values(whole)


@pytest.mark.parametrize("count", [2, 3])
def test_shards_give_what_the_whole_gives(corpus: Path, tmp_path: Path, count: int) -> None:
    whole = evaluate(make_plan(corpus), tmp_path / "whole")
    folders = [tmp_path / str(index) for index in range(count)]
    for index, folder in enumerate(folders):
        evaluate(make_plan(corpus, shard=f"{index + 1}/{count}"), folder)
    merged = merge(folders, tmp_path / "merged", make_plan(corpus).metrics)
    assert [row.method for row in merged.rows] == [row.method for row in whole.rows]
    for one, other in zip(merged.rows, whole.rows, strict=True):
        assert one.num_clips == other.num_clips
        assert one.values == pytest.approx(dict(other.values), rel=DOUBLE)
    assert merged.clips == whole.clips
    assert merged.problems == {"First": {}, "Second": {"00002": whole.problems["Second"]["00002"]}}
    assert merged.num_pairs == NUM_PAIRS


def test_a_merged_folder_goes_on_as_a_whole(corpus: Path, tmp_path: Path) -> None:
    evaluate(make_plan(corpus, shard="1/2"), tmp_path / "half")
    merged = merge([tmp_path / "half"], tmp_path / "merged", make_plan(corpus).metrics)
    assert merged.rows[0].num_clips["brightness"] == 2
    report = evaluate(make_plan(corpus), tmp_path / "merged")
    assert report.rows[0].num_clips["brightness"] == 4


def test_shards_that_overlap_or_differ_are_refused(corpus: Path, tmp_path: Path) -> None:
    metrics = make_plan(corpus).metrics
    evaluate(make_plan(corpus, shard="1/2"), tmp_path / "a")
    evaluate(make_plan(corpus), tmp_path / "b")
    with pytest.raises(ConfigError, match="pair 0 was also measured in an earlier folder"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out", metrics)
    fewer = make_plan(corpus)
    evaluate(dataclasses.replace(fewer, pairs=fewer.pairs[:1]), tmp_path / "c")
    with pytest.raises(ConfigError, match=r"/c: is of another evaluation than .*/a: pairs"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "out", metrics)
    with pytest.raises(ConfigError, match=r"no evaluation\.json"):
        merge([tmp_path], tmp_path / "out", metrics)
    with pytest.raises(ConfigError, match="holds an evaluation already"):
        merge([tmp_path / "a"], tmp_path / "b", metrics)


def test_metrics_that_are_not_loaded_are_named_when_merging(corpus: Path, tmp_path: Path) -> None:
    evaluate(make_plan(corpus), tmp_path / "a")
    report = merge([tmp_path / "a"], tmp_path / "out", {"brightness": Brightness()})
    assert report.left_out == {"difference": "measured in the shards, but not loaded here"}
    assert list(report.rows[0].values) == ["brightness"]


def test_other_options_are_refused_by_name(corpus: Path, tmp_path: Path) -> None:
    plan = make_plan(corpus, marks={"brightness": {"network": "aa"}})
    evaluate(plan, tmp_path)
    other = dataclasses.replace(plan, marks={"brightness": {"network": "bb"}})
    with pytest.raises(ConfigError, match="brightness: network aa before, bb now"):
        evaluate(other, tmp_path)
    with pytest.raises(ConfigError, match=r"shard 1/1 before, 1/2 now\); give another --out"):
        evaluate(dataclasses.replace(plan, shard=Shard.parse("1/2")), tmp_path)
    with pytest.raises(ConfigError, match=r"pairs .* before"):
        evaluate(dataclasses.replace(plan, pairs=plan.pairs[:2]), tmp_path)


def test_a_result_that_was_made_anew_is_not_taken_for_the_old(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    media.write_audio(tmp_path / "a.wav", media.speech_like(0.12))
    media.write_video(made / "0.mkv", 3, **LOSSLESS)
    method = Method.from_folder("Tool", made, None)
    pair = Pair(0, tmp_path / "v.mkv", tmp_path / "a.wav")
    plan = Plan("Toy", [pair], [method], {"brightness": Brightness()})
    evaluate(plan, tmp_path / "out")
    media.write_video(made / "0.mkv", pictures=[np.zeros((64, 64, 3), np.uint8)] * 3, **LOSSLESS)
    with pytest.raises(ConfigError, match=r"0\.mkv: was written anew since brightness measured it"):
        evaluate(plan, tmp_path / "out")


def test_a_metric_that_fails_is_reported_per_pair(corpus: Path, tmp_path: Path) -> None:
    metrics: dict[str, Metric] = {"unmeasurable": Unmeasurable(), "brightness": Brightness()}
    report = evaluate(make_plan(corpus, metrics), tmp_path)
    assert report.problems["First"]["00001"] == {"unmeasurable": "cannot be measured"}
    assert report.rows[0].num_clips == {"brightness": 4}
    assert not report.is_complete


def test_metrics_that_do_not_apply_are_no_failure(corpus: Path, tmp_path: Path) -> None:
    plan = make_plan(corpus, {"difference": Difference("truth")})
    report = evaluate(dataclasses.replace(plan, methods=plan.methods[:1]), tmp_path)
    assert report.is_complete
    assert report.rows[0].values == {}
    assert "| First | measured here | – |" in report.markdown()


def test_results_are_found_by_number_or_by_both_names(tmp_path: Path) -> None:
    pair = Pair(7, Path("/x/obama.mp4"), Path("/y/hello.wav"))
    with pytest.raises(MediaError, match=r"no 00007\.mp4, 7\.mp4 or obama__hello\.mp4"):
        find_output(tmp_path, pair)
    for name in ("obama__hello.webm", "7.avi", "00007.mp4"):
        (tmp_path / name).touch()
        assert find_output(tmp_path, pair).name == name
    (tmp_path / "00007.mkv").touch()
    with pytest.raises(MediaError, match=r"got 00007\.mp4 and 00007\.mkv, expected one"):
        find_output(tmp_path, pair)


def test_methods_need_folders_and_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--outputs Tool=.*gone: no such folder"):
        Method.from_folder("Tool", tmp_path / "gone", None)
    one, two = (Method.from_folder(label, tmp_path, None) for label in ("L-Net w/o", "L-Net w o"))
    assert one.name == "L-Net_w_o"
    with pytest.raises(ConfigError, match=r"'L-Net w o': its name is 'L-Net_w_o' like that of"):
        check_names([one, two])
    with pytest.raises(ConfigError, match="give methods different names"):
        check_names([Method.from_folder("..", tmp_path, None)])


def test_a_damaged_tally_is_named(tmp_path: Path) -> None:
    path = tmp_path / "brightness.npz"
    assert Tally.load(path) == Tally()
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ConfigError, match=r"brightness\.npz: damaged .* delete it"):
        Tally.load(path)


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", "a\\b", "\x1b[2J"])
def test_names_that_lead_out_of_the_folder_are_refused(
    corpus: Path, tmp_path: Path, name: str
) -> None:
    evaluate(make_plan(corpus), tmp_path / "a")
    path = tmp_path / "a" / "evaluation.json"
    record = json.loads(path.read_text())
    record["methods"][name] = {}
    path.write_text(json.dumps(record))
    before = {file for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ConfigError, match="cannot name a folder"):
        merge([tmp_path / "a"], tmp_path / "out", make_plan(corpus).metrics)
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 3}', b"\xff"])
def test_damaged_problems_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "problems.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"problems\.json: damaged; delete it"):
        ResultFolder(tmp_path).read_problems()
