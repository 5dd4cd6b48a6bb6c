from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from datasets.lnet import LNetDataSettings, LNetDraws
from datasets.prepare.clip import ClipPreparer, PreparationSettings
from datasets.prepare.cutting import audio_start_s, cut_audio, cut_mel, resample_frames
from datasets.prepare.extend import (
    enhance_lips,
    estimate_lite_coefficients,
    extend_store,
    make_neutral_lips,
    regress_coefficients,
)
from datasets.prepare.manifest import ClipRow, write_manifest
from datasets.prepare.store import prepare_store, summarise
from datasets.prepare.sync_offset import estimate_offset
from datasets.store.format import TRACKS, StoreInfo, write_store_info
from datasets.store.reader import Store, StoredClip
from retalking.coefficients.basis import ExpressionBasis
from retalking.errors import ConfigError, MediaError
from retalking.face.crops import LIP_PX, Pads, cut, lip_anchors, lip_crops, smooth_anchors
from retalking.face.landmarks import LiteLandmarker
from retalking.locations import REPOSITORY
from retalking.media.sound.mel import log_mel
from retalking.mouth.networks.references import cut_references
from retalking.networks.runner import make_runner
from retalking.rendering.streaming_filter import smooth_stream
from retalking.shard import Shard
from retalking.types import AudioClip
from scripts.measure import profile_training
from scripts.prepare import clips, enhance_lrs2, lrs2, voxceleb
from scripts.prepare import extend_store as extend_script
from tests.media import moving_picture, speech_like, write_audio, write_video
from tests.stores import preparation

SETTINGS = preparation(
    lips_px=(32, 96), stabiliser_px=(256,), max_enlargement=4, min_frames=8, keep_audio=True
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the preparing processes have; the number of threads moves the last bits of landmarks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def walking_face(num_frames: int, size_px: int = 200) -> list[np.ndarray]:
    """The public-domain portrait of scikit-image, moving slowly."""
    data = pytest.importorskip("skimage.data")
    portrait = data.astronaut()[:300, 80:380]
    pictures = []
    for n in range(num_frames):
        matrix = np.array([[size_px / 300, 0, n / 4], [0, size_px / 300, n / 8]])
        pictures.append(cv2.warpAffine(portrait, matrix, (size_px, size_px), borderMode=1))
    return pictures


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    face = walking_face(12)
    write_video(folder / "talk.mp4", pictures=face, audio=speech_like(0.6), width=200)
    cut_in_two = face[:9] + [moving_picture(n, 200, 200) for n in range(14)] + face[:9]
    write_video(folder / "cut.mp4", pictures=cut_in_two, audio=speech_like(1.4))
    write_video(folder / "mute.mp4", pictures=face[:9])
    write_video(folder / "nobody.mp4", 10, audio=speech_like(0.5))
    write_video(folder / "short.mp4", pictures=face[:5], audio=speech_like(0.3))
    (folder / "broken.mp4").write_bytes(b"not a video")
    return folder


def _row(media: Path, name: str, **changes) -> ClipRow:
    row = ClipRow(name, media / f"{name}.mp4", f"person of {name}", "train", "test")
    return dataclasses.replace(row, **changes)


@pytest.fixture(scope="module")
def store(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "store"
    names = ("talk", "cut", "mute", "nobody", "short", "broken")
    prepare_store(folder, [_row(media, name) for name in names], SETTINGS, 0)
    return folder


def test_every_row_is_prepared_or_left_out_with_its_reason(store: Path) -> None:
    report = json.loads((store / "report.json").read_text())
    reasons = report["skipped_rows"]
    assert set(reasons) == {"mute", "nobody", "short", "broken"}
    assert "has no audio stream" in reasons["mute"]
    assert "no face found" in reasons["nobody"]
    assert "longest run of the face is 5 frames" in reasons["short"]
    assert "broken.mp4" in reasons["broken"]
    assert report["rows"] == 6
    assert report["clips"] == len(Store(store)) == report["rows"] - 4 + 1
    assert report["frames"] == sum(Store(store).index["num_frames"])
    assert not any("\n" in reason for reason in reasons.values())


def test_a_cut_makes_two_clips(store: Path) -> None:
    names = {name.decode(): n for name, n in Store(store).index[["clip", "num_frames"]]}
    assert names == {"talk": 12, "cut": 9, "cut#1": 9}
    second = Store(store).clip(1)
    assert second.name == "cut#1"
    assert second.array(TRACKS, "time_s")[0] == pytest.approx(23 / 25)


def test_stored_faces_are_the_crops_of_inference(store: Path, media: Path) -> None:
    from datasets.prepare.extend import stored_track

    clip = Store(store).clip(2)
    crops = lip_crops(smooth_anchors(stored_track(clip)), Pads())
    np.testing.assert_allclose(clip.array(TRACKS, "lip_crop"), crops, atol=1e-6)
    frame = walking_face(12)[4]
    full = cut(frame, crops[4], LIP_PX)
    expected = cv2.resize(full, (96, 96), interpolation=cv2.INTER_LINEAR)
    stored = clip.pictures("lips_96", range(4, 5))[0]
    # JPEG and the video codec leave a few grey levels.
    assert np.abs(stored.astype(int) - expected).mean() < 6


def test_the_mel_windows_are_those_of_inference(store: Path, media: Path) -> None:
    from retalking.media.sound import audio

    clip = Store(store).clip(2)
    speech = audio.load(media / "talk.mp4")
    times_s = np.arange(12) / 25 - audio_start_s(media / "talk.mp4")
    expected = log_mel(speech).windows(times_s)
    np.testing.assert_allclose(clip.mel_windows(0, 12), expected, atol=3e-3)
    samples = clip.array(TRACKS, "audio")
    assert len(samples) == 12 * 640


def test_a_prepared_store_is_not_prepared_again(store: Path, media: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/*/*")}
    seen: list[str] = []
    rows = [_row(media, "talk"), _row(media, "cut")]
    outcomes = prepare_store(store, rows, SETTINGS, 0, lambda o, n: seen.append(o.clip))
    assert seen == ["talk", "cut"]
    assert [len(outcome.clips) for outcome in outcomes] == [1, 2]
    assert before == {path: path.stat().st_mtime_ns for path in store.glob("*/*/*")}


def test_other_settings_are_refused(store: Path, media: Path) -> None:
    other = SETTINGS.model_copy(update={"jpeg_quality": 50})
    with pytest.raises(ConfigError, match=r"other settings .jpeg_quality: 92, now 50"):
        prepare_store(store, [_row(media, "talk")], other, 0)


def test_a_store_from_before_a_setting_existed_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    before = SETTINGS.model_dump(mode="json")
    del before["max_gap_s"]
    write_store_info(folder, StoreInfo(before, SETTINGS.parts))
    assert prepare_store(folder, [], SETTINGS, 0) == []


@pytest.mark.parametrize(
    ("main", "source", "given", "expected"),
    [
        (clips.main, "--videos", ["--min-frames", "9"], {"min_frames": 9}),
        (
            lrs2.main,
            "",
            ["--silent"],
            {"lips_px": [96], "stabiliser_px": [], "needs_speech": False},
        ),
        (voxceleb.main, "", ["--lips", "64"], {"lips_px": [64], "needs_speech": False}),
    ],
)
def test_scripts_take_their_settings_from_yaml_and_options_change_them(
    monkeypatch: pytest.MonkeyPatch, main: Any, source: str, given: list[str], expected: Any
) -> None:
    seen: list[PreparationSettings] = []
    monkeypatch.setattr(
        clips, "prepare_store", lambda _out, _rows, found, *_: seen.append(found) or []
    )
    for module, name in ((clips, "list_folder"), (lrs2, "list_lrs2"), (voxceleb, "list_voxceleb")):
        monkeypatch.setattr(module, name, lambda *_: [])
    main([*filter(None, [source]), "corpus", "--out", "store", *given])
    usual = preparation().model_dump(mode="json")
    usual |= {"lips_px": [], "stabiliser_px": [256]} if main is voxceleb.main else {}
    assert seen[0].model_dump(mode="json") == usual | expected


def test_workers_prepare_the_same_clips(store: Path, media: Path, tmp_path: Path) -> None:
    prepare_store(tmp_path / "store", [_row(media, "talk"), _row(media, "short")], SETTINGS, 1)
    alone, pooled = (StoredClip(folder, "talk") for folder in (store, tmp_path / "store"))
    assert alone.notes() == pooled.notes()
    for part in (TRACKS, "lips_32", "lips_96", "stabiliser_256"):
        for name in alone.array_names(part):
            np.testing.assert_array_equal(alone.array(part, name), pooled.array(part, name))


def test_a_full_disk_stops_the_preparation(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Path.write_bytes

    def fill(self: Path, data: bytes) -> int:
        if "lips_96" in self.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(MediaError, match="cannot be written: No space left on device"):
        prepare_store(tmp_path / "store", [_row(media, "talk")], SETTINGS, 0)
    monkeypatch.undo()
    prepare_store(tmp_path / "store", [_row(media, "talk")], SETTINGS, 0)
    assert len(Store(tmp_path / "store")) == 1


def test_two_videos_of_one_name_are_refused(media: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two clips have this name"):
        prepare_store(tmp_path, [_row(media, "talk")] * 2, SETTINGS, 0)


def test_silent_and_small_faces_have_their_uses(media: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"needs_speech": False, "max_enlargement": 0.5})
    prepare_store(tmp_path / "store", [_row(media, "mute"), _row(media, "talk")], settings, 0)
    index = Store(tmp_path / "store").index
    assert index["has_speech"].tolist() == [False, True]
    parts = Store(tmp_path / "store").info.parts
    small = {parts[bit] for bit in range(len(parts)) if int(index["parts"][0]) >> bit & 1}
    assert small == {"lips_32"}


def test_the_manifest_shifts_the_audio(store: Path, media: Path, tmp_path: Path) -> None:
    row = _row(media, "talk", audio_offset_s=0.08)
    prepare_store(tmp_path / "store", [row], SETTINGS, 0)
    moved = Store(tmp_path / "store").clip(0).mel_windows(2, 12)
    plain = Store(store).clip(2).mel_windows(0, 10)
    # Two frames are 6.4 columns, of which windows begin at the whole ones.
    np.testing.assert_allclose(moved[::5], plain[::5], atol=3e-3)


def test_the_manifests_frame_rate_is_checked(media: Path) -> None:
    with pytest.raises(MediaError, match="got 25 frames per second, the manifest says 30"):
        ClipPreparer(SETTINGS).prepare(_row(media, "talk", frame_rate=30.0))


@pytest.mark.parametrize("rate", [24, 25, 30, 50])
def test_frames_are_resampled_to_25_per_second(rate: int) -> None:
    times_s = np.arange(2 * rate) / rate
    frames = resample_frames(times_s)
    assert len(frames) == 50
    assert np.abs(times_s[frames] - np.arange(50) / 25).max() <= 0.5 / rate + 1e-9


def test_uneven_frames_are_resampled_by_time() -> None:
    times_s = np.array([0, 0.04, 0.21, 0.24, 0.28])
    assert resample_frames(times_s).tolist() == [0, 1, 1, 1, 2, 2, 3, 4]


def test_sound_is_cut_in_time() -> None:
    speech = AudioClip(np.linspace(-1, 1, 16000).astype(np.float32), 16000)
    times_s = -0.1 + np.arange(10) / 25
    wave = cut_audio(speech, times_s)
    assert len(wave) == 6400
    assert (wave[:1600] == 0).all()
    np.testing.assert_allclose(wave[1600:] / 32767, speech.samples[:4800], atol=1e-4)
    mel = log_mel(speech)
    parts = cut_mel(mel, 0.52 + np.arange(5) / 25)
    low = 41 - 40
    assert parts["mel_start"][0] + low == 41
    np.testing.assert_allclose(parts["mel"], mel.mel[:, low:].T, atol=2e-3)


@pytest.mark.parametrize("shift_frames", [-8, 0, 5])
def test_a_shift_between_lips_and_speech_is_measured(shift_frames: int) -> None:
    mel = log_mel(AudioClip(speech_like(20, seed=3), 16000))
    times_s = np.arange(450) / 25 + 0.6
    loud = mel.windows(times_s - shift_frames / 25)[:, 0, 8:56].mean((1, 2))
    noise = np.random.default_rng(0).normal(0, loud.std(), len(loud))
    found = estimate_offset((loud + noise).astype(np.float32), times_s, mel, 25, 0.5)
    assert found is not None
    assert found.offset_s == pytest.approx(shift_frames / 25)
    assert found.score > 4
    assert found.correlation > 0.4


def test_no_relation_between_lips_and_speech_gives_no_evidence() -> None:
    mel = log_mel(AudioClip(speech_like(20, seed=3), 16000))
    lips = np.random.default_rng(1).normal(size=450).astype(np.float32)
    found = estimate_offset(lips, np.arange(450) / 25, mel, 25, 0.5)
    assert found is not None
    assert found.score < 4
    assert estimate_offset(lips[:100], np.arange(100) / 25, mel, 25, 0.5) is None
    assert estimate_offset(np.zeros(450, np.float32), np.arange(450) / 25, mel, 25, 0.5) is None


def test_badly_synced_clips_are_corrected_or_dropped(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets.prepare.sync_offset import SyncEstimate

    preparer = ClipPreparer(SETTINGS)

    def prepared(offset_s: float, score: float) -> dict[str, str]:
        estimate = SyncEstimate(offset_s, 0.5, 0.1, score)
        monkeypatch.setattr("datasets.prepare.clip.estimate_offset", lambda *args: estimate)
        return preparer.prepare(_row(media, "talk"))[0].notes

    start_s = float(prepared(0.0, 9.0)["audio_offset_s"])
    assert float(prepared(0.2, 9.0)["audio_offset_s"]) == pytest.approx(start_s + 0.2)
    assert float(prepared(0.2, 2.0)["audio_offset_s"]) == start_s
    assert float(prepared(0.08, 9.0)["audio_offset_s"]) == start_s
    with pytest.raises(MediaError, match=r"audio and lips are -0.44 s apart .score 9.0."):
        prepared(-0.44, 9.0)


def test_reasons_are_counted_without_names_and_numbers() -> None:
    assert summarise("/a/b.mp4: the longest run is 5 frames") == "the longest run is N frames"


@pytest.fixture(scope="module")
def extended(store: Path) -> Path:
    basis = ExpressionBasis.from_file()
    extend_store(store, "coefficients", lambda clip: estimate_lite_coefficients(clip, basis))
    return store


def test_coefficients_are_added_once(extended: Path) -> None:
    clip = Store(extended).clip(2)
    coefficients = clip.coefficients()
    assert len(coefficients) == 12
    assert np.abs(coefficients.angle).max() < 0.6
    assert extend_store(extended, "coefficients", lambda clip: {}) == (0, 0)


def test_coefficients_come_from_pictures_as_well(extended: Path) -> None:
    class Recon(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            assert faces.shape[1:] == (3, 224, 224)
            return faces.mean((1, 2, 3))[:, None].expand(-1, 257)

    clip = Store(extended).clip(2)
    arrays = regress_coefficients(clip, Recon(), make_runner("cpu", "fp32"))
    assert {name: array.shape for name, array in arrays.items()} == {
        "expression": (12, 64),
        "angle": (12, 3),
        "translation": (12, 3),
        "crop": (12, 3),
    }
    assert 0.1 < arrays["angle"].min() <= arrays["angle"].max() < 0.9


@pytest.mark.parametrize("moves_detail", [False, True])
def test_an_identical_dnet_gives_the_frames_themselves_as_reference(
    extended: Path, moves_detail: bool
) -> None:
    from models.dnet import DNetConfig, DNetOutput

    class Unchanged(torch.nn.Module):
        config = DNetConfig(edits_warped=moves_detail)

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            assert not moves_detail
            return DNetOutput(window, window, image, image)

        def edit_fine(self, image: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
            assert image.shape[2] == 512
            return image

    landmarker, runner = LiteLandmarker.from_file(), make_runner("cpu", "fp32")

    def compute(clip) -> dict[str, np.ndarray]:
        template = np.zeros(64, np.float32)
        return make_neutral_lips(clip, 96, 92, Unchanged(), template, landmarker, runner, False)

    shutil.rmtree(extended / "neutral_96", ignore_errors=True)
    assert extend_store(extended, "neutral_96", compute, "stabiliser_256")[0] == 3
    sample = LNetDraws(
        LNetDataSettings(
            store=extended,
            splits={"train": 1},
            size_px=96,
            num_frames=4,
            min_native_px=0,
            reference="neutral",
            num_candidates=1,
            min_gap=0,
            matched_speech=0,
            augment={"flip": 0, "grey": 0, "brightness": 0, "contrast": 0},
        ),
        0,
    )[0]
    middle = (..., slice(24, 72), slice(24, 72))
    assert (sample.references - sample.faces)[middle].abs().mean() < 0.04


def test_references_of_training_move_as_those_of_inference_to_the_ends_of_a_run(
    extended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets.prepare import extend
    from models.dnet import DNetConfig, DNetOutput

    class Unchanged(torch.nn.Module):
        config = DNetConfig()

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            return DNetOutput(window, window, image, image)

    class Trembling:
        """Finds faces a little beside where they are, each time elsewhere."""

        random = np.random.default_rng(0)

        def follow(self, rgb: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = points_px + self.random.normal(0, 2, (1, 1, 2)).astype(np.float32)
            eyes_and_nose.append(lip_anchors(found))
            return np.concatenate([found, np.zeros((1, 68, 1), np.float32)], -1), np.ones(1)

    eyes_and_nose: list[np.ndarray] = []
    used: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(references: Any, drift_px: np.ndarray, *rest: Any) -> np.ndarray:
        used.append((references.anchors_px, drift_px))
        return cut_references(references, drift_px, *rest)

    monkeypatch.setattr(extend, "cut_references", watch)
    clip = Store(extended).clip(0)
    template, runner = np.zeros(64, np.float32), make_runner("cpu", "fp32")
    make_neutral_lips(clip, 96, 92, Unchanged(), template, Trembling(), runner, False)
    anchors, smooth = (np.concatenate(parts) for parts in zip(*used, strict=True))
    found = np.concatenate(eyes_and_nose) - anchors
    one_run = np.zeros(len(found), np.int64)
    ((_, expected),) = smooth_stream([(None, found, one_run)])
    np.testing.assert_allclose(smooth, expected, atol=1e-9)
    assert np.abs(smooth - found).max() > 1


def test_neutral_lips_may_keep_the_frame_around_the_face(extended: Path) -> None:
    from models.dnet import DNetConfig, DNetOutput

    class White(torch.nn.Module):
        config = DNetConfig()

        def forward(self, image: torch.Tensor, window: torch.Tensor) -> DNetOutput:
            return DNetOutput(window, window, image, torch.ones_like(image))

    landmarker, runner = LiteLandmarker.from_file(), make_runner("cpu", "fp32")
    template = np.zeros(64, np.float32)
    clip = Store(extended).clip(0)
    corner = (slice(None), slice(88, 96), slice(0, 8))
    true = clip.pictures("lips_96", range(len(clip.array("tracks", "opening"))))[corner]
    assert true.max() < 100
    for show_source in (False, True):
        part = make_neutral_lips(clip, 96, 92, White(), template, landmarker, runner, show_source)
        starts = [0, *part["ends"][:-1]]
        made = np.stack(
            [
                cv2.imdecode(part["data"][start:end], cv2.IMREAD_COLOR_RGB)
                for start, end in zip(starts, part["ends"], strict=True)
            ]
        )[corner].astype(int)
        kept = np.abs(made - true).mean() < 8
        assert kept == show_source
        assert kept or made.min() > 240


def test_enhanced_lips_are_the_restorers_pictures_in_place(extended: Path) -> None:
    class Gpen(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            assert faces.shape[1:] == (3, 512, 512)
            return faces

    runner = make_runner("cpu", "fp32")
    added, _ = extend_store(
        extended, "enhanced_384", lambda clip: enhance_lips(clip, 92, Gpen(), runner)
    )
    assert added == 3
    clip = Store(extended).clip(2)
    large = clip.pictures("enhanced_384", range(12))
    small = clip.pictures("lips_96", range(12))
    shrunk = np.stack([cv2.resize(p, (96, 96), interpolation=cv2.INTER_LINEAR) for p in large])
    assert np.abs(shrunk.astype(int) - small).mean() < 5


def _run(main, *arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_script_prepares_a_folder(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("talk", "short"):
        (videos / f"{name}.mp4").write_bytes((media / f"{name}.mp4").read_bytes())
    out = tmp_path / "store"
    code = _run(
        clips.main, "--videos", videos, "--out", out, "--workers", 0, "--min-frames", 12,
        "--lips", 96, "--stabiliser", "--val-every", 0,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "1 clips from 2 rows, 12 frames" in printed
    assert "left out 1: the longest run of the face is N frames" in printed
    assert Store(out).info.parts == ("lips_96", "coefficients")


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (clips.main, ["--manifest", "gone.tsv", "--out", "s"], "no such manifest"),
        (clips.main, ["--videos", "gone", "--out", "s"], "no such folder"),
        (extend_script.main, ["gone", "coefficients"], "not a prepared store"),
        (enhance_lrs2.main, ["gone"], "not a prepared store"),
        (profile_training.main, ["--store", "gone"], "not a prepared store"),
    ],
)
def test_scripts_end_with_one_line(
    main, arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("module", profile_training.MODULES)
def test_every_data_set_can_be_measured_or_says_what_it_lacks(extended: Path, module: str) -> None:
    with suppress(ConfigError):
        profile_training.open_draws(module, extended, "train")


def test_what_was_left_out_is_tried_again_on_request(media: Path, tmp_path: Path) -> None:
    video = tmp_path / "late.mp4"
    rows = [_row(tmp_path, "late")]
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0)[0].reason
    video.write_bytes((media / "talk.mp4").read_bytes())
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0)[0].reason
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0, retry=True)[0].clips == ("late",)
    assert len(Store(tmp_path / "store")) == 1


def test_shards_prepare_one_store(store: Path, media: Path, tmp_path: Path) -> None:
    rows = [_row(media, name) for name in ("talk", "cut", "short")]
    seen: list[str] = []
    for shard in (Shard(2, 2), Shard(1, 2)):
        prepare_store(tmp_path, rows, SETTINGS, 0, lambda o, n: seen.append(o.clip), shard)
    assert seen == ["cut", "talk", "short"]
    for name in ("clip", "num_frames", "opening_std"):
        np.testing.assert_array_equal(Store(tmp_path).index[name], Store(store).index[name])
    assert json.loads((tmp_path / "report.json").read_text())["rows"] == 3


def test_the_end_of_one_video_may_be_held_out(media: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"min_frames": 3})
    prepare_store(tmp_path, [_row(media, "talk", val_share=0.25)], settings, 0)
    index = Store(tmp_path).index
    assert index["split"].tolist() == [b"train", b"val"]
    assert index["num_frames"].tolist() == [9, 3]


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from pathlib import Path\n"
        "from datasets.prepare.clip import PreparationSettings\n"
        "from datasets.prepare.store import _start_worker\n"
        "if __name__ == '__main__':\n"
        "    task = (Path(sys.argv[1]), PreparationSettings())\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), _start_worker, task)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_nothing_prepared_is_a_failure(media: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.tsv"
    write_manifest(manifest, [_row(media, "broken")])
    out = tmp_path / "store"
    assert _run(clips.main, "--manifest", manifest, "--out", out, "--workers", 0) == 2


def test_the_data_path_is_measured(extended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = _run(
        profile_training.main, "--store", extended, "--module", "speech", "--workers", 0,
        "--seconds", 0.1,
    )  # fmt: skip
    assert code == 0
    assert "samples/s from 0 loader processes" in capsys.readouterr().out


def test_audio_of_another_file(media: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", speech_like(0.6))
    row = _row(media, "mute", audio=tmp_path / "a.wav")
    clip = ClipPreparer(SETTINGS).prepare(row)[0]
    assert clip.notes["audio_offset_s"] == "0.0000"
    missing = _row(media, "mute", audio=tmp_path / "gone.wav")
    with pytest.raises(MediaError, match=r"gone.wav"):
        ClipPreparer(SETTINGS.model_copy(update={"needs_speech": False})).prepare(missing)


def test_rates_are_fractions_of_the_container(tmp_path: Path) -> None:
    face = walking_face(15)
    write_video(tmp_path / "v.mp4", pictures=face, rate=Fraction(30), audio=speech_like(0.5))
    clip = ClipPreparer(SETTINGS).prepare(_row(tmp_path, "v"))[0]
    assert clip.parts[TRACKS]["source_frame"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13]


def test_only_the_wanted_splits_are_extended(extended: Path) -> None:
    def compute(clip) -> dict[str, np.ndarray]:
        return {"x": np.zeros(1, np.float32)}

    assert extend_store(extended, "nothing", compute, splits=["no_such_split"]) == (0, 3)
    assert extend_store(extended, "nothing", compute)[0] == 3
