from __future__ import annotations

import errno
import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.lnet import LNetDataset
from datasets.sampling import WindowSampler
from datasets.store.format import (
    INDEX_DTYPE,
    TRACKS,
    StoreInfo,
    part_path,
    write_part,
    write_store_info,
)
from datasets.store.index import build_index, check_names
from datasets.store.reader import ClipFilter, Store
from retalking.errors import ConfigError, MediaError
from retalking.media.sound.mel import SILENCE
from tests.stores import picture_of, write_clip, write_store
from tests.unit.datasets.samples import lnet_settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(write_store(tmp_path / "store"))


def _row(store: Store, name: str) -> int:
    return int(np.flatnonzero(store.index["clip"] == name.encode())[0])


def test_pictures_come_back_in_the_order_asked_for(store: Store) -> None:
    frames = np.array([7, 0, 19])
    found = store.clip(_row(store, "clip000")).pictures("lips_32", frames)
    expected = np.stack([picture_of(0, n, 32) for n in frames])
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected)[:, :, 10:].max() <= 2


def test_mel_windows_equal_those_of_the_spectrogram(store: Store) -> None:
    windows = store.clip(0).mel_windows(3, 8)
    assert windows.shape == (5, 1, 80, 16)
    for n, window in zip(range(3, 8), windows, strict=True):
        expected = (n * 80 // 25 + np.arange(16)) / 100
        np.testing.assert_allclose(window[0], np.tile(expected, (80, 1)), atol=1e-3)


def test_mel_windows_may_begin_some_frames_earlier(store: Store) -> None:
    clip = store.clip(0)
    np.testing.assert_array_equal(clip.mel_windows(3, 8, 1), clip.mel_windows(2, 7))
    first, second = clip.mel_windows(0, 2, 1)[:, 0]
    np.testing.assert_array_equal(second, clip.mel_windows(0, 1)[0, 0])
    # Before the first frame time goes on as after it: a frame lasts 3.2 columns, begun ones count.
    assert (first[:, :4] == SILENCE).all()
    np.testing.assert_array_equal(first[:, 4:], second[:, :-4])


def test_the_expert_hears_its_own_window_whatever_lnet_hears(store: Store) -> None:
    early = LNetDataset(lnet_settings(store.folder, mel_lead_frames=1), seed=0)
    plain = LNetDataset(lnet_settings(store.folder), seed=0)
    for draw in range(4):
        one, other = early[draw], plain[draw]
        assert torch.equal(one.expert_mel, other.expert_mel)
        assert torch.equal(other.expert_mel, other.mels[0])
        assert torch.equal(one.mels[1:], other.mels[:-1])


def test_what_lies_outside_the_audio_is_silence(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", 1)
    starts = np.array([-300, -8, 0, 76, 500])
    clip = Store(folder).clip(0)
    arrays = {name: clip.array(TRACKS, name) for name in clip.array_names(TRACKS)}
    write_part(folder, TRACKS, "clip000", arrays | {"mel_start": starts}, clip.notes())
    length = len(arrays["mel"])
    windows = Store(folder).clip(0).mel_windows(0, 5)[:, 0, 0]
    for start, window in zip(starts, windows, strict=True):
        columns = start + np.arange(16)
        outside = (columns < 0) | (columns >= length)
        assert (window[outside] == SILENCE).all()
        np.testing.assert_allclose(window[~outside], columns[~outside] / 100, atol=1e-3)


def test_a_pickled_store_is_the_same_store(store: Store) -> None:
    store.clip(0)
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.index, store.index)
    assert again.clip(1).name == store.clip(1).name


def test_selection_by_split_part_length_and_size(store: Store) -> None:
    assert len(store.select(ClipFilter(splits=("train",)))) == 3
    assert len(store.select(ClipFilter(splits=("train", "val"), min_frames=22))) == 2
    assert len(store.select(ClipFilter(("train",), min_native_px={"lip_native_px": 101.5}))) == 1
    for needs, message in [
        (ClipFilter(("test",)), "split in test"),
        (ClipFilter(("train",), ("lips_999",)), "part lips_999 is prepared"),
        (ClipFilter(("train",), min_frames=99), "at least 99 frames"),
    ]:
        with pytest.raises(ConfigError, match=f"is left by the condition {message}"):
            store.select(needs)


def test_a_clip_with_speech_only_serves_the_audio(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", 2)
    name = write_clip(folder, 9, parts=())
    silent = write_clip(folder, 8, speech=False)
    build_index(folder, ["clip000", "clip001", name, silent])
    store = Store(folder)
    heard = store.select(ClipFilter(("train",), speech=True))
    assert [store.index["clip"][row] for row in heard] == [b"clip000", b"clip009"]
    seen = store.select(ClipFilter(("train",), ("lips_32",)))
    assert [store.index["clip"][row] for row in seen] == [b"clip000", b"clip008"]


def test_many_open_clips_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.store.reader._MAX_OPEN_CLIPS", 2)
    store = Store(write_store(tmp_path / "store"))
    first = store.clip(0)
    assert store.clip(0) is first
    for row in (1, 2):
        store.clip(row)
    assert store.clip(0) is not first
    assert len(store._open) == 2


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"other"])
def test_a_damaged_index_is_named(store: Store, content: bytes) -> None:
    (store.folder / "index.npy").write_bytes(content)
    with pytest.raises(ConfigError, match=r"index\.npy: the index cannot be read"):
        Store(store.folder)
    np.save(store.folder / "index.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="records of another form"):
        Store(store.folder)


def test_a_folder_without_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a prepared store \(no store.json\)"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"version": 99, "settings": {}, "parts": []}, "got store version 99, expected 1"),
        ({"version": 1}, "damaged"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, content: dict, message: str) -> None:
    (tmp_path / "store.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        Store(tmp_path)


def test_a_store_without_index_is_refused(tmp_path: Path) -> None:
    write_store_info(tmp_path, StoreInfo({}, ()))
    with pytest.raises(ConfigError, match="the index cannot be read"):
        Store(tmp_path)


def test_a_corrupt_jpeg_is_named(store: Store) -> None:
    clip = store.clip(0)
    data, ends = clip.array("lips_32", "data").copy(), clip.array("lips_32", "ends")
    data[ends[3] : ends[4]] = 0
    write_part(store.folder, "lips_32", clip.name, {"data": data, "ends": ends})
    fresh = Store(store.folder).clip(0)
    fresh.pictures("lips_32", range(4))
    with pytest.raises(MediaError, match="the JPEG of frame 4 is damaged"):
        fresh.pictures("lips_32", range(3, 5))


def test_a_truncated_or_missing_file_is_named(store: Store) -> None:
    path = part_path(store.folder, "lips_32", "clip001")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MediaError, match=r"clip001.safetensors: damaged"):
        store.clip(_row(store, "clip001")).pictures("lips_32", range(1))
    path.unlink()
    with pytest.raises(MediaError, match="missing from the store"):
        Store(store.folder).clip(_row(store, "clip001")).pictures("lips_32", range(1))


def test_a_full_disk_leaves_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = part_path(store.folder, TRACKS, "clip000")
    before = path.read_bytes()

    def fail(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(MediaError, match="cannot be written: No space left on device"):
        write_part(store.folder, TRACKS, "clip000", {"a": np.zeros(3)})
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".retalking*"))


def test_names_are_checked() -> None:
    check_names(["a", "b"])
    with pytest.raises(ConfigError, match="two clips have this name"):
        check_names(["a", "a"])
    with pytest.raises(ConfigError, match="the name has 121 bytes, expected at most 120"):
        check_names(["x" * 121])


def _synthetic_index(folder: Path, num_clips: int) -> Store:
    """A store of which only the index exists."""
    write_store_info(folder, StoreInfo({}, ("lips_96",)))
    index = np.zeros(num_clips, INDEX_DTYPE)
    index["clip"] = [f"c{n}".encode() for n in range(num_clips)]
    index["split"], index["parts"], index["has_speech"] = b"train", 1, True
    index["num_frames"] = 100 + np.arange(num_clips) % 50
    np.save(folder / "index.npy", index)
    return Store(folder)


def _cost_s(sampler: WindowSampler) -> float:
    times = []
    for repeat in range(7):
        begin = time.process_time()
        for draw in range(200):
            sampler(draw + 200 * repeat)
        times.append(time.process_time() - begin)
    return min(times) / 200


def test_a_draw_costs_the_same_from_100_000_clips(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    samplers = [
        WindowSampler(_synthetic_index(tmp_path / name, count), {"train": 1}, ClipFilter(()), 5, 0)
        for name, count in (("small", 100), ("large", 100_000))
    ]
    small, large = (_cost_s(sampler) for sampler in samplers)
    assert samplers[1].num_windows > 10_000_000
    assert isinstance(samplers[1]._store.index, np.memmap)
    assert large < 4 * small + 1e-4, f"{small * 1e6:.0f} and {large * 1e6:.0f} microseconds"
