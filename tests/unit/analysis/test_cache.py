"""Entries come back as they were, or not at all."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from retalking import cache_folder
from retalking.analysis.cache import AnalysisCache, default_cache_folder, fingerprint
from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.types import VideoAnalysis
from tests.faces import frontal_landmarks, make_analysis, make_track


@pytest.fixture(params=["with depth", "in the plane"])
def analysis(request: pytest.FixtureRequest) -> VideoAnalysis:
    landmarks = np.random.default_rng(0).normal(size=(5, 68, 2)) + frontal_landmarks()
    track = make_track(landmarks, [True, True, False, True, True], [0, 0, 1, 1, 1])
    if request.param == "with depth":
        depth = np.random.default_rng(1).normal(size=(5, 68)).astype(np.float32)
        track = dataclasses.replace(track, depth_px=depth)
    return make_analysis(track, 12)


def assert_same(first: object, second: object) -> None:
    for field in dataclasses.fields(first):  # type: ignore[arg-type]
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b


def test_an_entry_comes_back_as_it_was(tmp_path: Path, analysis: VideoAnalysis) -> None:
    cache = AnalysisCache(tmp_path / "deep" / "folder")
    assert cache.load("key", analysis.info) is None
    cache.save("key", analysis)
    found = AnalysisCache(tmp_path / "deep" / "folder").load("key", analysis.info)
    assert found is not None
    assert found.info == analysis.info
    np.testing.assert_array_equal(found.pts, analysis.pts)
    assert_same(found.track, analysis.track)
    assert_same(found.coefficients, analysis.coefficients)
    assert cache.load("other key", analysis.info) is None
    assert [path.name for path in (tmp_path / "deep" / "folder").iterdir()] == ["key.arrays"]


def test_an_entry_is_replaced(tmp_path: Path, analysis: VideoAnalysis) -> None:
    cache = AnalysisCache(tmp_path)
    cache.save("key", analysis)
    cache.save("key", dataclasses.replace(analysis, pts=analysis.pts + 7))
    found = cache.load("key", analysis.info)
    assert found is not None
    np.testing.assert_array_equal(found.pts, analysis.pts + 7)


def test_damage_is_reported_and_counts_as_absent(
    tmp_path: Path, analysis: VideoAnalysis, caplog: pytest.LogCaptureFixture
) -> None:
    cache, path = AnalysisCache(tmp_path), tmp_path / "key.arrays"
    cache.save("key", analysis)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    versions = [b"", b"not a zip at all", *(whole[: len(whole) * n // 8] for n in range(1, 8))]
    for _ in range(60):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        versions.append(bytes(broken))
    # Headers and the zip directory are a small part of the file, but the fragile one: flipped bits
    # in them gave arrays of other lengths.
    for place in (*range(400), *range(len(whole) - 900, len(whole), 13)):
        flipped = bytes([whole[place] ^ (1 << rng.integers(8))])
        versions.append(whole[:place] + flipped + whole[place + 1 :])
    for content in versions:
        path.write_bytes(content)
        caplog.clear()
        assert cache.load("key", analysis.info) is None
        assert "key.arrays: damaged, analysing again" in caplog.text


def test_an_array_saved_alone_is_no_entry(
    tmp_path: Path, analysis: VideoAnalysis, caplog: pytest.LogCaptureFixture
) -> None:
    write_arrays(tmp_path / "key.arrays", {"some": np.zeros(3)})
    assert AnalysisCache(tmp_path).load("key", analysis.info) is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("fault", ["missing", "short", "short pts", "type"])
def test_an_entry_of_another_form_counts_as_damaged(
    tmp_path: Path, analysis: VideoAnalysis, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    cache, path = AnalysisCache(tmp_path), tmp_path / "key.arrays"
    cache.save("key", analysis)
    arrays = read_arrays(path)
    if fault == "missing":
        del arrays["coefficients.angle"]
    elif fault == "short":
        arrays["track.boxes_px"] = arrays["track.boxes_px"][:-1]
    elif fault == "short pts":
        arrays["pts"] = arrays["pts"][:-1]
    else:
        arrays["track.shot_id"] = arrays["track.shot_id"].astype(np.int32)
    write_arrays(path, arrays)
    assert cache.load("key", analysis.info) is None
    assert "damaged" in caplog.text


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, analysis: VideoAnalysis, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        AnalysisCache(tmp_path / "file" / "folder").save("key", analysis)
        AnalysisCache(tmp_path / "file").save("key", analysis)
        (tmp_path / "busy.arrays").mkdir()
        AnalysisCache(tmp_path).save("busy", analysis)
    assert len(caplog.records) == 3
    assert all("is not kept for next time" in line.message for line in caplog.records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy.arrays", "file"]


def test_the_fingerprint_changes_with_every_byte_and_every_option(tmp_path: Path) -> None:
    video, weights = tmp_path / "talk.mp4", tmp_path / "net.pth"
    video.write_bytes(b"0123456789")
    weights.write_bytes(b"abc")
    usual = {"face_index": None, "max_gap_s": 0.5}
    first = fingerprint([video, weights], usual)
    assert first == fingerprint([video, weights], dict(usual))
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    keys = {first, fingerprint([weights, video], usual), fingerprint([video], usual)}
    for options in ({**usual, "face_index": 1}, {**usual, "max_gap_s": 0.25}, {"max_gap_s": 0.5}):
        keys.add(fingerprint([video, weights], options))
    video.write_bytes(b"0123456788")
    keys.add(fingerprint([video, weights], usual))
    video.write_bytes(b"0123456789")
    weights.write_bytes(b"abd")
    keys.add(fingerprint([video, weights], usual))
    assert len(keys) == 8


def test_the_fingerprint_changes_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("retalking", "models", "third_party"):
        (tmp_path / package / "face").mkdir(parents=True)
        (tmp_path / package / "face" / "detection.py").write_text("threshold = 1")
    (tmp_path / "retalking" / "training").mkdir()
    monkeypatch.setattr(cache_folder, "REPOSITORY", tmp_path)

    def key() -> str:
        cache_folder.code_version.cache_clear()
        return fingerprint([], 1)

    try:
        first = key()
        (tmp_path / "retalking" / "training" / "loop.py").write_text("of no job")
        assert key() == first
        (tmp_path / "models" / "face" / "detection.py").write_text("threshold = 2")
        assert key() != first
    finally:
        cache_folder.code_version.cache_clear()


def test_the_name_of_the_video_does_not_matter(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"same")
    assert fingerprint([tmp_path / "a.mp4"], 1) == fingerprint([tmp_path / "b.mp4"], 1)


def test_the_usual_folder_is_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert default_cache_folder() == Path("/somewhere/cache/retalking")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache_folder() == Path("/home/someone/.cache/retalking")
