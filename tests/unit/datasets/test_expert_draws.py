"""Samples of the lip-sync expert and of the speech warm-up."""

from pathlib import Path

import numpy as np
import pytest

from datasets.augment import Disturbance, disturb
from datasets.speech import SpeechDataset, SpeechDataSettings
from datasets.sync_groups import SyncGroups
from datasets.syncnet import SyncDataset
from tests.unit.datasets.samples import frames_in, group_settings, sync_settings


def test_disturbed_speech_stays_in_range_and_near() -> None:
    rng = np.random.default_rng(0)
    mels = rng.uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)
    still = Disturbance(noise=0, gain=0, masked_bands=0)
    np.testing.assert_array_equal(disturb(mels, still, rng), mels)
    counts = []
    for _ in range(50):
        masked = disturb(mels, still.model_copy(update={"masked_bands": 16}), rng)
        changed = (masked != mels).any(axis=(1, 3))
        assert (changed == changed[:1]).all()  # the same bands in every window
        counts.append(changed[0].sum())
    assert 8 < max(counts) <= 16
    assert min(counts) < 8
    loud = disturb(mels, Disturbance(noise=1, gain=1, masked_bands=0), rng)
    assert loud.dtype == np.float32
    assert np.abs(loud).max() <= 4
    assert 0.05 < np.abs(loud - mels).mean() < 2


def test_sync_samples_are_half_in_step_and_half_not(folder: Path) -> None:
    dataset = SyncDataset(sync_settings(folder), 0)
    synced = []
    for n in range(200):
        sample = dataset[n]
        assert sample.faces.shape == (5, 3, 16, 32)
        frame = frames_in(sample.faces[:1])[0]
        heard = round(float(sample.mels[0, 0, 0]) * 100)
        shift = abs(heard - frame * 80 // 25) / 3.2
        assert shift < 0.2 if sample.is_synced else shift > 4
        synced.append(float(sample.is_synced))
    assert np.mean(synced) == pytest.approx(0.5, abs=0.12)


def test_sync_groups_are_windows_of_one_span_with_their_speech(folder: Path) -> None:
    dataset = SyncGroups(sync_settings(folder), group_settings(), 0)
    seen = set()
    for n in range(100):
        sample = dataset[n]
        assert sample.faces.shape == (2, 5, 3, 16, 32)
        assert sample.mels.shape == (6, 1, 80, 16)
        columns = [round(float(mel[0, 0, 0]) * 100) for mel in sample.mels]
        starts = [-(-column * 25 // 80) for column in columns]  # the first frame at or after it
        assert len(set(starts)) == 6
        assert max(starts) - min(starts) < 9
        for face, start in zip(sample.faces, starts, strict=False):
            assert frames_in(face) == list(range(start, start + 5))
        for opening, start in zip(sample.openings, starts, strict=True):
            assert opening.diff().min() > 0
            assert opening[0].item() < 0 or start > 5  # from the clip's mean, and it rises
        seen.update((sample.clip_ids, start) for start in starts)
    assert len(seen) == sum(20 + clip - 4 for clip in range(3))  # every window of every clip


def test_a_moved_crop_is_moved_for_a_whole_group(folder: Path) -> None:
    still, moved = (
        SyncGroups(sync_settings(folder), group_settings(**changes), 0)[0].faces
        for changes in ({}, {"shift": 0.2})
    )
    edges = [(faces[:, :, 2] > 0.7).sum((2, 3)) for faces in (still, moved)]  # the bright edge
    assert (edges[0] != edges[1]).all()
    assert edges[1].unique().numel() == 1


@pytest.mark.parametrize("changes", [{"num_shown": 7}, {"span_frames": 5}])
def test_a_group_must_fit_its_span(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="num_shown <= num_windows <= span_frames"):
        group_settings(**changes)


def test_speech_samples_pair_sound_and_opening(folder: Path) -> None:
    dataset = SpeechDataset(SpeechDataSettings(store=folder, splits={"train": 1}), 0)
    assert len(dataset) == 20 + 21 + 22
    for n in range(20):
        sample = dataset[n]
        frame = round(float(sample.openings) * 100)
        assert float(sample.mels[0, 0, 0]) * 100 == pytest.approx(frame * 80 // 25, abs=0.5)
        assert sample.mels.shape == (1, 80, 16)
        assert abs(float(sample.relative_openings)) < 2
