"""Many clips in parallel: resumable, and an account of what was left out."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.prepare.cutting import audio_start_s
from datasets.prepare.store import prepare_store, summarise
from datasets.store.format import TRACKS, StoreInfo, write_store_info
from datasets.store.reader import Store, StoredClip
from retalking.errors import ConfigError, MediaError
from retalking.face.crops import LIP_PX, Pads, cut, lip_crops, smooth_anchors
from retalking.locations import REPOSITORY
from retalking.media.sound.mel import log_mel
from retalking.shard import Shard
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of, walking_face


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
    rows = [row_of(media, "talk"), row_of(media, "cut")]
    outcomes = prepare_store(store, rows, SETTINGS, 0, lambda o, n: seen.append(o.clip))
    assert seen == ["talk", "cut"]
    assert [len(outcome.clips) for outcome in outcomes] == [1, 2]
    assert before == {path: path.stat().st_mtime_ns for path in store.glob("*/*/*")}


def test_other_settings_are_refused(store: Path, media: Path) -> None:
    other = SETTINGS.model_copy(update={"jpeg_quality": 50})
    with pytest.raises(ConfigError, match=r"other settings .jpeg_quality: 92, now 50"):
        prepare_store(store, [row_of(media, "talk")], other, 0)


def test_workers_prepare_the_same_clips(store: Path, media: Path, tmp_path: Path) -> None:
    prepare_store(tmp_path / "store", [row_of(media, "talk"), row_of(media, "short")], SETTINGS, 1)
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
        prepare_store(tmp_path / "store", [row_of(media, "talk")], SETTINGS, 0)
    monkeypatch.undo()
    prepare_store(tmp_path / "store", [row_of(media, "talk")], SETTINGS, 0)
    assert len(Store(tmp_path / "store")) == 1


def test_two_videos_of_one_name_are_refused(media: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two clips have this name"):
        prepare_store(tmp_path, [row_of(media, "talk")] * 2, SETTINGS, 0)


def test_silent_and_small_faces_have_their_uses(media: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"needs_speech": False, "max_enlargement": 0.5})
    prepare_store(tmp_path / "store", [row_of(media, "mute"), row_of(media, "talk")], settings, 0)
    index = Store(tmp_path / "store").index
    assert index["has_speech"].tolist() == [False, True]
    parts = Store(tmp_path / "store").info.parts
    small = {parts[bit] for bit in range(len(parts)) if int(index["parts"][0]) >> bit & 1}
    assert small == {"lips_32"}


def test_reasons_are_counted_without_names_and_numbers() -> None:
    assert summarise("/a/b.mp4: the longest run is 5 frames") == "the longest run is N frames"


def test_what_was_left_out_is_tried_again_on_request(media: Path, tmp_path: Path) -> None:
    video = tmp_path / "late.mp4"
    rows = [row_of(tmp_path, "late")]
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0)[0].reason
    video.write_bytes((media / "talk.mp4").read_bytes())
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0)[0].reason
    assert prepare_store(tmp_path / "store", rows, SETTINGS, 0, retry=True)[0].clips == ("late",)
    assert len(Store(tmp_path / "store")) == 1


def test_shards_prepare_one_store(store: Path, media: Path, tmp_path: Path) -> None:
    rows = [row_of(media, name) for name in ("talk", "cut", "short")]
    seen: list[str] = []
    for shard in (Shard(2, 2), Shard(1, 2)):
        prepare_store(tmp_path, rows, SETTINGS, 0, lambda o, n: seen.append(o.clip), shard)
    assert seen == ["cut", "talk", "short"]
    for name in ("clip", "num_frames", "opening_std"):
        np.testing.assert_array_equal(Store(tmp_path).index[name], Store(store).index[name])
    assert json.loads((tmp_path / "report.json").read_text())["rows"] == 3


def test_the_end_of_one_video_may_be_held_out(media: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"min_frames": 3})
    prepare_store(tmp_path, [row_of(media, "talk", val_share=0.25)], settings, 0)
    index = Store(tmp_path).index
    assert index["split"].tolist() == [b"train", b"val"]
    assert index["num_frames"].tolist() == [9, 3]


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from pathlib import Path\n"
        "from datasets.prepare.settings import PreparationSettings\n"
        "from datasets.prepare.store import _start_worker\n"
        "from retalking.config import load_config\n"
        "from retalking.locations import CONFIGS\n"
        "if __name__ == '__main__':\n"
        "    clips = CONFIGS / 'prepare' / 'clips.yaml'\n"
        "    task = (Path(sys.argv[1]), load_config(PreparationSettings, clips))\n"
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


def test_a_store_from_before_a_setting_existed_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    before = SETTINGS.model_dump(mode="json")
    del before["max_gap_s"]
    write_store_info(folder, StoreInfo(before, SETTINGS.parts))
    assert prepare_store(folder, [], SETTINGS, 0) == []
