from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.augment import AugmentSettings, Disturbance, Look, disturb
from datasets.dnet import DNetDataSettings, DNetDraws
from datasets.enet import ENetDataSettings, ENetDraws, degrade
from datasets.lnet import LNetDataSettings, LNetDraws
from datasets.sampling import WindowSampler, nearest_in_pose
from datasets.speech import SpeechDataSettings, SpeechDraws
from datasets.store.format import pack_pictures, write_part
from datasets.store.jpeg import compress, quantisation_steps
from datasets.store.reader import Needs, Store
from datasets.sync_groups import GroupSettings, SyncGroups
from datasets.syncnet import SyncDataSettings, SyncDraws
from retalking.coefficients.basis import EXPRESSION_BASIS_PATH
from retalking.errors import ConfigError, MediaError
from retalking.ibug68 import MIRRORED
from retalking.training.batches import read_batches
from retalking.training.distributed import Ranks
from tests.loaders import loader_settings
from tests.media import moving_picture
from tests.stores import write_store

STILL = AugmentSettings(flip=0, grey=0, brightness=0, contrast=0)
NOISY = Disturbance(noise=0.4, gain=0.5, masked_bands=16)
LIVELY = AugmentSettings(flip=0.5, grey=0.3, brightness=0.3, contrast=0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


def _lnet(folder: Path, **changes) -> LNetDataSettings:
    values = {
        "store": folder,
        "splits": {"train": 1.0},
        "size_px": 32,
        "num_frames": 5,
        "min_native_px": 0,
        "reference": "random",
        "num_candidates": 6,
        "min_gap": 0,
        "matched_speech": 0,
        "augment": STILL,
    }
    return LNetDataSettings(**(values | changes))


def _enet(folder: Path, augment: AugmentSettings = STILL) -> ENetDataSettings:
    return ENetDataSettings(
        **vars(_lnet(folder, augment=augment)), jpeg_quality=(60, 90), enhanced=False
    )


def _dnet(folder: Path, augment: AugmentSettings = STILL) -> DNetDataSettings:
    return DNetDataSettings(
        store=folder,
        splits={"train": 1},
        size_px=32,
        num_candidates=1,
        min_gap=0,
        min_native_px=0,
        exchanged=0,
        expression_basis=None,
        augment=augment,
    )


def _sync(folder: Path, augment: AugmentSettings = STILL) -> SyncDataSettings:
    return SyncDataSettings(
        store=folder,
        splits={"train": 1},
        size_px=32,
        positive_share=0.5,
        min_shift_frames=5,
        augment=augment,
    )


def _group(**changes) -> GroupSettings:
    values = {"num_windows": 6, "num_shown": 2, "span_frames": 9, "shift": 0, "zoom": 0}
    return GroupSettings(**(values | changes))


def _frames(pictures: torch.Tensor) -> list[int]:
    """Frame numbers that flat pictures ``[T, 3, H, W]`` were painted with."""
    return (pictures[:, 1, -8:, -8:].mean((1, 2)) * 255 / 4).round().int().tolist()


def _all_draws(folder: Path) -> list:
    return [
        LNetDraws(_lnet(folder, augment=LIVELY), 3),
        ENetDraws(_enet(folder, LIVELY), 3),
        DNetDraws(_dnet(folder, LIVELY.model_copy(update={"flip": 0.0})), 3),
        SyncDraws(_sync(folder, LIVELY), 3),
        SyncGroups(_sync(folder, LIVELY), _group(shift=0.1, zoom=0.1), 3, NOISY),
        SpeechDraws(SpeechDataSettings(store=folder, splits={"train": 1}), 3, NOISY),
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
    draws = LNetDraws(_lnet(folder, augment=LIVELY), 1)
    runs = []
    for workers in (0, 2):
        batches = read_batches(draws, loader_settings(4, workers), 5, Ranks())
        runs.append([next(batches) for _ in range(3)])
        batches.close()
    for alone, shared in zip(*runs, strict=True):
        _assert_same(alone, shared)
    assert runs[0][0].faces.shape == (4, 5, 3, 32, 32)
    assert len(runs[0][0].clip_ids) == 4


def test_lnet_sample_is_five_frames_with_their_speech_and_other_frames(folder: Path) -> None:
    draws = LNetDraws(_lnet(folder), 0)
    assert len(draws) == (20 - 4) + (21 - 4) + (22 - 4)
    for n in range(20):
        sample = draws[n]
        frames = _frames(sample.faces)
        assert frames == list(range(frames[0], frames[0] + 5))
        references = _frames(sample.references)
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
    sampler = WindowSampler(Store(folder), {"train": 1, "val": 3}, Needs(()), 5, 0)
    draws = [sampler(n) for n in range(2000)]
    share = np.mean([draw.clip.name == "clip003" for draw in draws])
    assert share == pytest.approx(0.75, abs=0.04)
    starts = {(draw.clip.name, draw.start) for draw in draws}
    assert len(starts) == (20 - 4) + (21 - 4) + (22 - 4) + (23 - 4)
    assert max(draw.start + 5 - draw.num_frames for draw in draws) == 0


def test_nearest_pose_picks_the_most_similar_window(folder: Path) -> None:
    pose = np.repeat((np.arange(30) % 10)[:, None], 4, axis=1).astype(np.float32)
    assert nearest_in_pose(pose, 12, np.array([0, 4, 22, 25]), 5) == 22
    far = LNetDraws(_lnet(folder), 0)
    near = LNetDraws(_lnet(folder, reference="nearest_pose", num_candidates=40), 0)

    def distance(draws: LNetDraws, n: int) -> int:
        sample = draws[n]
        ahead = abs(_frames(sample.references)[0] - _frames(sample.faces)[0]) % 10
        return min(ahead, 10 - ahead)

    distances = [(distance(near, n), distance(far, n)) for n in range(40)]
    assert np.mean([near for near, _ in distances]) < 0.5 * np.mean([far for _, far in distances])


def test_references_keep_their_distance(folder: Path) -> None:
    settings = _lnet(folder, num_frames=1, reference="nearest_pose", num_candidates=40, min_gap=6)
    draws = LNetDraws(settings, 0)
    for n in range(20):
        target, reference = _frames(torch.cat([draws[n].faces, draws[n].references]))
        assert abs(target - reference) > 6


def test_neutral_references_are_the_same_frames(folder: Path) -> None:
    with pytest.raises(ConfigError, match="part neutral_32 is prepared"):
        LNetDraws(_lnet(folder, reference="neutral"), 0)
    write_reddened(folder, "neutral_32")
    sample = LNetDraws(_lnet(folder, reference="neutral"), 0)[0]
    assert _frames(sample.references) == _frames(sample.faces)
    assert sample.references[:, 0].mean() > sample.faces[:, 0].mean() + 0.2


def write_reddened(folder: Path, part: str) -> None:
    from datasets.prepare.extend import extend_store
    from datasets.store.format import encode_jpeg

    def redden(clip) -> dict[str, np.ndarray]:
        pictures = clip.pictures("lips_32", range(len(clip.array("lips_32", "ends")))).copy()
        pictures[..., 0] = 255
        return pack_pictures([encode_jpeg(picture, 95) for picture in pictures])

    assert extend_store(folder, part, redden) == (4, 0)


def test_short_clips_are_left_out_or_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="none of 4 clips is left by the condition at least 60"):
        LNetDraws(_lnet(folder, num_frames=30), 0)
    assert len(LNetDraws(_lnet(folder, num_frames=11), 0)) == 22 - 10


def test_a_corrupt_jpeg_stops_the_loader_with_one_line(folder: Path) -> None:
    ends = np.arange(1, 31) * 4
    for name in ("clip000", "clip001", "clip002"):
        write_part(folder, "lips_32", name, {"data": np.zeros(120, np.uint8), "ends": ends})
    batches = read_batches(LNetDraws(_lnet(folder), 0), loader_settings(2, 1), 0, Ranks())
    with pytest.raises(MediaError, match=r"JPEG of frame .* is damaged"):
        next(batches)


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": 1.0, "val": -1.0}])
def test_shares_must_say_something(folder: Path, shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected some above 0"):
        LNetDraws(_lnet(folder, splits=shares), 0)


def test_a_flip_mirrors_picture_and_landmarks(folder: Path) -> None:
    flip = STILL.model_copy(update={"flip": 1.0})
    plain = LNetDraws(_lnet(folder), 0)[3]
    mirrored = LNetDraws(_lnet(folder, augment=flip), 0)[3]
    assert torch.equal(mirrored.faces, plain.faces.flip(-1))
    assert torch.equal(mirrored.references, plain.references.flip(-1))
    assert torch.equal(mirrored.mels, plain.mels)
    expected = plain.landmarks_px[:, list(MIRRORED)]
    assert torch.allclose(mirrored.landmarks_px[..., 0], 31 - expected[..., 0], atol=1e-3)
    assert torch.equal(mirrored.landmarks_px[..., 1], expected[..., 1])


def test_a_look_is_the_same_for_all_frames_of_a_sample() -> None:
    frames = np.stack([moving_picture(n) for n in (0, 1)])
    look = Look(grey=True, brightness=0.8, contrast=1.2)
    changed = look.apply(frames)
    np.testing.assert_array_equal(changed[0], look.apply(frames[:1])[0])
    assert (changed == changed[..., :1]).all()
    level = 0.299 * frames[0, 5, 5, 0] + 0.587 * frames[0, 5, 5, 1] + 0.114 * frames[0, 5, 5, 2]
    assert changed[0, 5, 5, 0] == pytest.approx(((level - 127.5) * 1.2 + 127.5) * 0.8, abs=1)
    np.testing.assert_array_equal(Look().apply(frames), frames)


def test_dnet_pairs_two_frames_with_the_window_of_the_second(folder: Path) -> None:
    draws = DNetDraws(_dnet(folder), 0)
    for n in range(20):
        sample = draws[n]
        source, target = _frames(torch.stack([sample.sources, sample.targets]))
        assert source != target
        assert sample.source_points_px.shape == sample.target_points_px.shape == (68, 2)
        last = {"clip000": 19, "clip001": 20, "clip002": 21}[sample.clip_ids]
        expected = np.clip(target - 13 + np.arange(26), 0, last)
        np.testing.assert_array_equal(sample.windows, np.tile(expected, (73, 1)))


def test_dnets_film_is_the_beginning_of_a_clip(folder: Path) -> None:
    draws = DNetDraws(_dnet(folder), 0)
    frames, windows = draws.film(0, 5)
    assert _frames(frames) == list(range(5))
    assert windows.shape == (5, 73, 26)
    np.testing.assert_array_equal(windows[4, 0], np.clip(4 - 13 + np.arange(26), 0, None))
    last = {"clip000": 19, "clip001": 20, "clip002": 21}[draws[0].clip_ids]
    assert len(draws.film(0, 100)[0]) == last + 1


def test_dnet_gives_a_frame_another_expression(folder: Path) -> None:
    with pytest.raises(ConfigError, match="expression_basis: got null"):
        DNetDraws(_dnet(folder).model_copy(update={"exchanged": 0.5}), 0)
    changes = {"exchanged": 0.5, "expression_basis": EXPRESSION_BASIS_PATH}
    draws = DNetDraws(_dnet(folder).model_copy(update=changes), 0)
    samples = [draws[n] for n in range(60)]
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
        DNetDraws(_dnet(folder, LIVELY), 0)


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
    draws = SyncDraws(_sync(folder), 0)
    synced = []
    for n in range(200):
        sample = draws[n]
        assert sample.faces.shape == (5, 3, 16, 32)
        frame = _frames(sample.faces[:1])[0]
        heard = round(float(sample.mels[0, 0, 0]) * 100)
        shift = abs(heard - frame * 80 // 25) / 3.2
        assert shift < 0.2 if sample.is_synced else shift > 4
        synced.append(float(sample.is_synced))
    assert np.mean(synced) == pytest.approx(0.5, abs=0.12)


def test_sync_groups_are_windows_of_one_span_with_their_speech(folder: Path) -> None:
    draws = SyncGroups(_sync(folder), _group(), 0)
    seen = set()
    for n in range(100):
        sample = draws[n]
        assert sample.faces.shape == (2, 5, 3, 16, 32)
        assert sample.mels.shape == (6, 1, 80, 16)
        columns = [round(float(mel[0, 0, 0]) * 100) for mel in sample.mels]
        starts = [-(-column * 25 // 80) for column in columns]  # the first frame at or after it
        assert len(set(starts)) == 6
        assert max(starts) - min(starts) < 9
        for face, start in zip(sample.faces, starts, strict=False):
            assert _frames(face) == list(range(start, start + 5))
        for opening, start in zip(sample.openings, starts, strict=True):
            assert opening.diff().min() > 0
            assert opening[0].item() < 0 or start > 5  # from the clip's mean, and it rises
        seen.update((sample.clip_ids, start) for start in starts)
    assert len(seen) == sum(20 + clip - 4 for clip in range(3))  # every window of every clip


def test_a_moved_crop_is_moved_for_a_whole_group(folder: Path) -> None:
    still, moved = (
        SyncGroups(_sync(folder), _group(**changes), 0)[0].faces for changes in ({}, {"shift": 0.2})
    )
    edges = [(faces[:, :, 2] > 0.7).sum((2, 3)) for faces in (still, moved)]  # the bright edge
    assert (edges[0] != edges[1]).all()
    assert edges[1].unique().numel() == 1


@pytest.mark.parametrize("changes", [{"num_shown": 7}, {"span_frames": 5}])
def test_a_group_must_fit_its_span(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="num_shown <= num_windows <= span_frames"):
        _group(**changes)


def test_speech_samples_pair_sound_and_opening(folder: Path) -> None:
    draws = SpeechDraws(SpeechDataSettings(store=folder, splits={"train": 1}), 0)
    assert len(draws) == 20 + 21 + 22
    for n in range(20):
        sample = draws[n]
        frame = round(float(sample.openings) * 100)
        assert float(sample.mels[0, 0, 0]) * 100 == pytest.approx(frame * 80 // 25, abs=0.5)
        assert sample.mels.shape == (1, 80, 16)
        assert abs(float(sample.relative_openings)) < 2


def test_enet_adds_quality_and_noise_to_lnets_sample(folder: Path) -> None:
    draws = ENetDraws(_enet(folder), 0)
    lips, faces = LNetDraws(_lnet(folder), 0)[4], draws[4]
    for name in ("faces", "references", "mels", "landmarks_px"):
        assert torch.equal(getattr(lips, name), getattr(faces, name))
    assert 60 <= faces.jpeg_quality <= 90
    seeds = torch.cat([faces.noise_seeds, draws[5].noise_seeds])
    assert len(seeds.unique()) == 2 * len(lips.openings)


def test_enet_takes_enhanced_frames_if_asked(folder: Path) -> None:
    settings = _enet(folder).model_copy(update={"enhanced": True})
    with pytest.raises(ConfigError, match="part enhanced_32 is prepared"):
        ENetDraws(settings, 0)
    write_reddened(folder, "enhanced_32")
    sharp, plain = ENetDraws(settings, 0)[0], ENetDraws(_enet(folder), 0)[0]
    assert _frames(sharp.faces) == _frames(plain.faces)
    assert sharp.faces[:, 0].mean() > plain.faces[:, 0].mean() + 0.2


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_compression_is_that_of_libjpeg(quality: int) -> None:
    picture = moving_picture(3, 96, 80)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    image = Image.open(buffer)
    expected = np.asarray(image).astype(np.float32)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    found = compress(tensor, torch.tensor([float(quality)]))[0].permute(1, 2, 0) * 255
    # libjpeg rounds colours to whole numbers on the way, which moves some coefficients by a
    # step, and which ones depends on the last bit: 0.68 and 0.11 were seen.
    assert np.abs(found.numpy() - expected).mean() < 1
    assert np.abs(found.numpy() - picture).mean() == pytest.approx(
        np.abs(expected - picture).mean(), abs=0.25
    )
    tables = quantisation_steps(tensor, torch.tensor([float(quality)]))[0].flatten(1)
    for theirs, ours in zip((image.quantization[0], image.quantization[1]), tables, strict=False):
        assert sorted(theirs) == sorted(ours.int().tolist())


def test_compression_lets_gradients_through_and_keeps_odd_sizes() -> None:
    picture = torch.rand(2, 3, 21, 30, requires_grad=True)
    packed = compress(picture, torch.tensor([40.0, 90.0]))
    assert packed.shape == picture.shape
    packed.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_degradation_shrinks_and_loses_detail() -> None:
    sharp = torch.from_numpy(moving_picture(2, 96, 96)).permute(2, 0, 1)[None].float() / 255
    low, high = (degrade(sharp, torch.tensor([q]), 24) for q in (10.0, 95.0))
    plain = torch.nn.functional.interpolate(sharp, (24, 24), mode="bilinear")
    assert low.shape == (1, 3, 24, 24)
    assert (high - plain).abs().mean() < (low - plain).abs().mean()
    assert (high - plain).abs().mean() < 0.01
