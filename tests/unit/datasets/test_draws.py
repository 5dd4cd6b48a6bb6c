from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.augment import Augmentation
from datasets.dnet import DNetDataset
from datasets.enet import ENetDataset
from datasets.lnet import LNetDataset
from datasets.sampling import WindowSampler, nearest_in_pose
from datasets.speech import SpeechDataset, SpeechDataSettings
from datasets.store.format import write_part
from datasets.store.reader import ClipFilter, Store
from datasets.sync_groups import SyncGroups
from datasets.syncnet import SyncDataset
from retalking.coefficients.basis import EXPRESSION_BASIS_PATH
from retalking.errors import ConfigError, MediaError
from retalking.ibug68 import MIRRORED
from retalking.training.batches import read_batches
from retalking.training.distributed import Ranks
from tests.loaders import loader_settings
from tests.media import moving_picture
from tests.unit.datasets.samples import (
    LIVELY,
    NOISY,
    STILL,
    dnet_settings,
    enet_settings,
    frames_in,
    group_settings,
    lnet_settings,
    sync_settings,
    write_reddened,
)


def _all_draws(folder: Path) -> list:
    return [
        LNetDataset(lnet_settings(folder, augment=LIVELY), 3),
        ENetDataset(enet_settings(folder, LIVELY), 3),
        DNetDataset(dnet_settings(folder, LIVELY.model_copy(update={"flip": 0.0})), 3),
        SyncDataset(sync_settings(folder, LIVELY), 3),
        SyncGroups(sync_settings(folder, LIVELY), group_settings(shift=0.1, zoom=0.1), 3, NOISY),
        SpeechDataset(SpeechDataSettings(store=folder, splits={"train": 1}), 3, NOISY),
    ]


def _assert_same(first, second) -> None:
    for name, a, b in zip(first._fields, first, second, strict=True):
        same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        assert same, name


def test_a_draw_is_the_same_whenever_and_wherever_it_is_made(folder: Path) -> None:
    for once, again in zip(_all_draws(folder), _all_draws(folder), strict=True):
        later = [again[n] for n in (7, 2)]
        _assert_same(once[2], later[1])
        _assert_same(once[7], later[0])


def test_workers_do_not_change_the_batches(folder: Path) -> None:
    dataset = LNetDataset(lnet_settings(folder, augment=LIVELY), 1)
    runs = []
    for workers in (0, 2):
        batches = read_batches(dataset, loader_settings(4, workers), 5, Ranks())
        runs.append([next(batches) for _ in range(3)])
        batches.close()
    for alone, shared in zip(*runs, strict=True):
        _assert_same(alone, shared)
    assert runs[0][0].faces.shape == (4, 5, 3, 32, 32)
    assert len(runs[0][0].clip_ids) == 4


def test_lnet_sample_is_five_frames_with_their_speech_and_other_frames(folder: Path) -> None:
    dataset = LNetDataset(lnet_settings(folder), 0)
    assert len(dataset) == (20 - 4) + (21 - 4) + (22 - 4)
    for n in range(20):
        sample = dataset[n]
        frames = frames_in(sample.faces)
        assert frames == list(range(frames[0], frames[0] + 5))
        references = frames_in(sample.references)
        assert references == list(range(references[0], references[0] + 5))
        assert abs(references[0] - frames[0]) >= 5
        np.testing.assert_allclose(sample.openings * 100, frames, atol=1e-3)
        np.testing.assert_allclose(
            sample.mels[:, 0, 0, 0] * 100, [f * 80 // 25 for f in frames], atol=0.5
        )
        assert sample.mels.shape == (5, 1, 80, 16)
        assert sample.faces.min() >= 0
        assert sample.faces.max() <= 1


def test_all_windows_and_splits_get_their_share(folder: Path) -> None:
    sampler = WindowSampler(Store(folder), {"train": 1, "val": 3}, ClipFilter(()), 5, 0)
    dataset = [sampler(n) for n in range(2000)]
    share = np.mean([draw.clip.name == "clip003" for draw in dataset])
    assert share == pytest.approx(0.75, abs=0.04)
    starts = {(draw.clip.name, draw.start) for draw in dataset}
    assert len(starts) == (20 - 4) + (21 - 4) + (22 - 4) + (23 - 4)
    assert max(draw.start + 5 - draw.num_frames for draw in dataset) == 0


def test_nearest_pose_picks_the_most_similar_window(folder: Path) -> None:
    pose = np.repeat((np.arange(30) % 10)[:, None], 4, axis=1).astype(np.float32)
    assert nearest_in_pose(pose, 12, np.array([0, 4, 22, 25]), 5) == 22
    far = LNetDataset(lnet_settings(folder), 0)
    near = LNetDataset(lnet_settings(folder, reference="nearest_pose", num_candidates=40), 0)

    def distance(dataset: LNetDataset, n: int) -> int:
        sample = dataset[n]
        ahead = abs(frames_in(sample.references)[0] - frames_in(sample.faces)[0]) % 10
        return min(ahead, 10 - ahead)

    distances = [(distance(near, n), distance(far, n)) for n in range(40)]
    assert np.mean([near for near, _ in distances]) < 0.5 * np.mean([far for _, far in distances])


def test_references_keep_their_distance(folder: Path) -> None:
    settings = lnet_settings(
        folder, num_frames=1, reference="nearest_pose", num_candidates=40, min_gap=6
    )
    dataset = LNetDataset(settings, 0)
    for n in range(20):
        target, reference = frames_in(torch.cat([dataset[n].faces, dataset[n].references]))
        assert abs(target - reference) > 6


def test_neutral_references_are_the_same_frames(folder: Path) -> None:
    with pytest.raises(ConfigError, match="part neutral_32 is prepared"):
        LNetDataset(lnet_settings(folder, reference="neutral"), 0)
    write_reddened(folder, "neutral_32")
    sample = LNetDataset(lnet_settings(folder, reference="neutral"), 0)[0]
    assert frames_in(sample.references) == frames_in(sample.faces)
    assert sample.references[:, 0].mean() > sample.faces[:, 0].mean() + 0.2


def test_short_clips_are_left_out_or_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="none of 4 clips is left by the condition at least 60"):
        LNetDataset(lnet_settings(folder, num_frames=30), 0)
    assert len(LNetDataset(lnet_settings(folder, num_frames=11), 0)) == 22 - 10


def test_a_corrupt_jpeg_stops_the_loader_with_one_line(folder: Path) -> None:
    ends = np.arange(1, 31) * 4
    for name in ("clip000", "clip001", "clip002"):
        write_part(folder, "lips_32", name, {"data": np.zeros(120, np.uint8), "ends": ends})
    batches = read_batches(LNetDataset(lnet_settings(folder), 0), loader_settings(2, 1), 0, Ranks())
    with pytest.raises(MediaError, match=r"JPEG of frame .* is damaged"):
        next(batches)


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": 1.0, "val": -1.0}])
def test_shares_must_say_something(folder: Path, shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected some above 0"):
        LNetDataset(lnet_settings(folder, splits=shares), 0)


def test_a_flip_mirrors_picture_and_landmarks(folder: Path) -> None:
    flip = STILL.model_copy(update={"flip": 1.0})
    plain = LNetDataset(lnet_settings(folder), 0)[3]
    mirrored = LNetDataset(lnet_settings(folder, augment=flip), 0)[3]
    assert torch.equal(mirrored.faces, plain.faces.flip(-1))
    assert torch.equal(mirrored.references, plain.references.flip(-1))
    assert torch.equal(mirrored.mels, plain.mels)
    expected = plain.landmarks_px[:, list(MIRRORED)]
    assert torch.allclose(mirrored.landmarks_px[..., 0], 31 - expected[..., 0], atol=1e-3)
    assert torch.equal(mirrored.landmarks_px[..., 1], expected[..., 1])


def test_a_look_is_the_same_for_all_frames_of_a_sample() -> None:
    frames = np.stack([moving_picture(n) for n in (0, 1)])
    augmentation = Augmentation(grey=True, brightness=0.8, contrast=1.2)
    changed = augmentation.apply(frames)
    np.testing.assert_array_equal(changed[0], augmentation.apply(frames[:1])[0])
    assert (changed == changed[..., :1]).all()
    level = 0.299 * frames[0, 5, 5, 0] + 0.587 * frames[0, 5, 5, 1] + 0.114 * frames[0, 5, 5, 2]
    assert changed[0, 5, 5, 0] == pytest.approx(((level - 127.5) * 1.2 + 127.5) * 0.8, abs=1)
    np.testing.assert_array_equal(Augmentation().apply(frames), frames)


def test_dnet_pairs_two_frames_with_the_window_of_the_second(folder: Path) -> None:
    dataset = DNetDataset(dnet_settings(folder), 0)
    for n in range(20):
        sample = dataset[n]
        source, target = frames_in(torch.stack([sample.sources, sample.targets]))
        assert source != target
        assert sample.source_points_px.shape == sample.target_points_px.shape == (68, 2)
        last = {"clip000": 19, "clip001": 20, "clip002": 21}[sample.clip_ids]
        expected = np.clip(target - 13 + np.arange(26), 0, last)
        np.testing.assert_array_equal(sample.windows, np.tile(expected, (73, 1)))


def test_dnets_film_is_the_beginning_of_a_clip(folder: Path) -> None:
    dataset = DNetDataset(dnet_settings(folder), 0)
    frames, windows, sound = dataset.film(0, 5)
    assert sound is not None
    assert len(sound.samples) == 5 * 640
    assert frames_in(frames) == list(range(5))
    assert windows.shape == (5, 73, 26)
    np.testing.assert_array_equal(windows[4, 0], np.clip(4 - 13 + np.arange(26), 0, None))
    last = {"clip000": 19, "clip001": 20, "clip002": 21}[dataset[0].clip_ids]
    assert len(dataset.film(0, 100)[0]) == last + 1


def test_dnet_gives_a_frame_another_expression(folder: Path) -> None:
    with pytest.raises(ConfigError, match="expression_basis: got null"):
        DNetDataset(dnet_settings(folder).model_copy(update={"exchanged": 0.5}), 0)
    changes = {"exchanged": 0.5, "expression_basis": EXPRESSION_BASIS_PATH}
    dataset = DNetDataset(dnet_settings(folder).model_copy(update=changes), 0)
    samples = [dataset[n] for n in range(60)]
    exchanged = [sample for sample in samples if not sample.is_true]
    assert 15 < len(exchanged) < 45
    for sample in exchanged:
        assert torch.equal(sample.sources, sample.targets)
        assert bool((sample.windows[:64] == sample.windows[:64, :1]).all())
        assert sample.source_points_px.isfinite().all()
        assert sample.openings.isfinite()
    changed = [s for s in exchanged if not torch.equal(s.source_points_px, s.target_points_px)]
    assert len(changed) > len(exchanged) / 2


def test_dnet_refuses_flips(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"augment.flip: got 0.5, expected 0"):
        DNetDataset(dnet_settings(folder, LIVELY), 0)
