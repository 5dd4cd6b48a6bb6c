"""LSE-D and LSE-C: the front end against its package, the rest in closed form."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from python_speech_features import mfcc as package_mfcc
from scipy.signal import medfilt
from torch import Tensor

from models import weights
from models.syncnet import SyncExpert, SyncExpertConfig, SyncNet
from retalking.errors import FaceNotFoundError, MediaError, WeightsError
from retalking.metrics.lip_sync.judges import ExpertJudge, SyncNetJudge, load_expert, load_syncnet
from retalking.metrics.lip_sync.mfcc import mfcc
from retalking.metrics.lip_sync.sync import LipSync, offset_distances, score_offsets
from retalking.metrics.metric import Clip, ClipChunk, State
from retalking.types import AudioClip, FaceTrack, Float64Array, IntArray, UInt8Array
from tests.faces import frontal_landmarks, make_track

CPU = torch.device("cpu")
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def syncnet() -> SyncNet:
    return SyncNet().eval()


def speech_of(levels: Float64Array) -> AudioClip:
    """Speech that holds one level for each 1/25 s."""
    return AudioClip(np.repeat(levels, 640).astype(np.float32), RATE_HZ)


def talking_frames(levels: Float64Array) -> UInt8Array:
    return np.repeat(np.round(levels * 200), 12).reshape(-1, 2, 2, 3).astype(np.uint8)


def still_track(num_frames: int, **kwargs: list[int] | list[bool]) -> FaceTrack:
    points = np.broadcast_to(frontal_landmarks() + 150.0, (num_frames, 68, 2))
    return make_track(points, **kwargs)


class ClosedFormJudge:
    """Embeds a window as the levels of its five frames, which picture and speech both carry."""

    crop = "whole frame"

    def place(self, track: FaceTrack, rows: IntArray) -> Float64Array:
        return np.zeros((len(rows), 1))

    def cut(self, rgb: UInt8Array, place: Float64Array) -> UInt8Array:
        return rgb

    def embed_lips(self, faces: UInt8Array) -> Tensor:
        return torch.from_numpy(faces[:, 0, 0, 0] / np.float32(200)).unfold(0, 5, 1)

    def embed_speech(self, speech: AudioClip, num_windows: int) -> Tensor:
        levels = torch.from_numpy(speech.samples[320::640].copy())
        return levels.unfold(0, 5, 1)[:num_windows]


def measure(
    frames: UInt8Array, clip: Clip, chunk_size: int = 9, judge: ClosedFormJudge | None = None
) -> State:
    meter = LipSync(judge or ClosedFormJudge()).start(clip)
    for start in range(0, len(frames), chunk_size):
        meter.add(ClipChunk(start, frames[start : start + chunk_size]))
    return meter.finish()


def values(state: State) -> dict[str, float]:
    return LipSync(ClosedFormJudge()).values(state)


@pytest.mark.parametrize("num_samples", [100, 400, 401, 16_000, 32_123])
def test_mfcc_equals_the_package(num_samples: int) -> None:
    rng = np.random.default_rng(0)
    samples = (0.3 * rng.normal(size=num_samples)).clip(-1, 1).astype(np.float32)
    samples[num_samples // 2 :] = 0
    levels = np.clip(np.rint(samples * np.float64(32768)), -32768, 32767).astype(np.int16)
    found = mfcc(AudioClip(samples, RATE_HZ))
    np.testing.assert_allclose(found, package_mfcc(levels, RATE_HZ), rtol=0, atol=1e-9)


def test_mfcc_of_long_audio_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = AudioClip(np.random.default_rng(0).normal(size=9000).astype(np.float32) / 9, RATE_HZ)
    whole = mfcc(clip)
    monkeypatch.setattr("retalking.metrics.lip_sync.mfcc._BLOCK", 7)
    np.testing.assert_allclose(mfcc(clip), whole, rtol=0, atol=1e-9)


def test_mfcc_refuses_another_rate() -> None:
    with pytest.raises(MediaError, match="at 8000 Hz, expected some at 16000 Hz"):
        mfcc(AudioClip(np.zeros(9, np.float32), 8000))


def test_distances_are_syncnets() -> None:
    lips, speech = torch.randn(4, 7), torch.randn(4, 7)
    found = offset_distances(lips, F.pad(speech, (0, 0, 15, 15)))
    wanted = [
        [
            (lips[i] - (speech[i + j] if 0 <= i + j < 4 else 0) + 1e-6).norm().item()
            for j in range(-15, 16)
        ]
        for i in range(4)
    ]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_scores_of_known_distances() -> None:
    distances = np.full(31, 9.0)
    distances[:10] = 20.0
    distances[18] = 5.5
    assert score_offsets(distances) == (5.5, 3.5, -3.0)


@pytest.mark.parametrize("shift", [0, 4, -7, 15, -15])
def test_shifted_speech_reports_its_shift(shift: int) -> None:
    levels = np.random.default_rng(0).random(120).round(2)
    heard = np.roll(levels, -shift)  # early by `shift` frames
    clip = Clip("talk", 25.0, speech_of(heard), still_track(120))
    found = values(measure(talking_frames(levels), clip))
    assert found["av_offset"] == shift
    if shift == 0:
        assert found["lse_d"] == pytest.approx(5**0.5 * 1e-6, abs=1e-6)
        assert found["lse_c"] > 0.3


def test_chunks_and_shards_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    states, whole = [], []
    for number in range(4):
        levels = rng.random(60 + number)
        clip = Clip("talk", 25.0, speech_of(levels[::-1].copy()), still_track(60 + number))
        frames = talking_frames(levels)
        states.append(measure(frames, clip))
        whole.append(values(measure(frames, clip, chunk_size=100)))
    merge = LipSync(ClosedFormJudge()).merge
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        found = values(functools.reduce(merge, [states[i] for i in order]))
        for name in found:
            wanted = np.mean([single[name] for single in whole])
            assert found[name] == pytest.approx(wanted, rel=1e-6)


def test_positions_end_five_before_frames_and_speech() -> None:
    levels = np.random.default_rng(0).random(80)
    frames, track = talking_frames(levels), still_track(80)
    full = values(measure(frames, Clip("a", 25.0, speech_of(levels), track)))
    changed = frames.copy()
    changed[79] = 255 - changed[79]  # of 75 windows the last begins at 74 and ends at 78
    assert values(measure(changed, Clip("a", 25.0, speech_of(levels), track))) == full
    changed[78] = 255 - changed[78]
    assert values(measure(changed, Clip("a", 25.0, speech_of(levels), track))) != full
    short = Clip("a", 25.0, speech_of(levels[:40]), track)
    assert values(measure(frames, short)) == pytest.approx(
        values(measure(frames[:40], Clip("a", 25.0, speech_of(levels), still_track(40))))
    )


def test_another_frame_rate_is_brought_to_25() -> None:
    levels = np.random.default_rng(0).random(100).round(2)
    clip = Clip("fast", 50.0, speech_of(levels), still_track(200))
    found = values(measure(talking_frames(np.repeat(levels, 2)), clip))
    assert found["av_offset"] == 0
    assert found["lse_d"] < 1e-5


def test_the_longest_stretch_of_a_shot_with_the_face_is_measured() -> None:
    levels = np.random.default_rng(0).random(120).round(2)
    frames = talking_frames(levels)
    frames[:40] = 0  # another shot
    frames[100:] = 0  # no face
    seen = [True] * 100 + [False] * 20
    track = still_track(120, detected=seen, shot_id=[0] * 40 + [1] * 80)
    found = values(measure(frames, Clip("cut", 25.0, speech_of(levels), track)))
    assert found["av_offset"] == 0
    assert found["lse_d"] < 1e-5


def test_undefined_clips_are_named() -> None:
    levels = np.random.default_rng(0).random(40)
    metric = LipSync(ClosedFormJudge())
    with pytest.raises(FaceNotFoundError, match="talk: no frame with a face"):
        metric.start(Clip("talk", 25.0, speech_of(levels), still_track(40, detected=[False] * 40)))
    with pytest.raises(MediaError, match=r"talk: got 0.48 s of a face and 1.60 s of speech"):
        metric.start(Clip("talk", 25.0, speech_of(levels), still_track(12)))
    clip = Clip("talk", 25.0, speech_of(levels), still_track(40))
    with pytest.raises(MediaError, match="ended before its face track"):
        measure(talking_frames(levels)[:30], clip)


def test_quantities_name_judge_and_crop(syncnet: SyncNet) -> None:
    names = [q.name for q in LipSync(ClosedFormJudge(), "expert_").quantities]
    assert names == ["expert_lse_d", "expert_lse_c", "expert_av_offset"]
    assert "scale 0.40" in LipSync(SyncNetJudge(syncnet, CPU)).quantities[0].note


def test_face_track_crop_is_syncnets(syncnet: SyncNet) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    track = still_track(20)
    track.boxes_px[:, :2] = rng.uniform(5, 40, (20, 2))
    track.boxes_px[:, 2:] = track.boxes_px[:, :2] + rng.uniform(30, 90, (20, 2))
    judge = SyncNetJudge(syncnet, CPU)
    places = judge.place(track, np.arange(20))
    x1, y1, x2, y2 = track.boxes_px.astype(np.float64).T
    size = medfilt(np.maximum(y2 - y1, x2 - x1) / 2, 13)
    center_x, center_y = medfilt((x1 + x2) / 2, 13), medfilt((y1 + y2) / 2, 13)
    for i in range(20):
        pad = int(size[i] * 1.8)
        padded = np.pad(rgb, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        y, x = center_y[i] + pad, center_x[i] + pad
        rows = slice(int(y - size[i]), int(y + size[i] * 1.8))
        square = padded[rows, int(x - size[i] * 1.4) : int(x + size[i] * 1.4)]
        np.testing.assert_array_equal(judge.cut(rgb, places[i]), cv2.resize(square, (224, 224)))


def test_syncnet_sees_bgr_windows_and_hears_mfcc(syncnet: SyncNet) -> None:
    judge = SyncNetJudge(syncnet, CPU)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)
    speech = AudioClip((0.1 * rng.normal(size=640 * 8)).astype(np.float32), RATE_HZ)
    with torch.inference_mode():
        lips, heard = judge.embed_lips(faces), judge.embed_speech(speech, 3)
        second = torch.from_numpy(faces[1:6, :, :, ::-1].copy()).permute(3, 0, 1, 2).float()
        torch.testing.assert_close(lips[1:], syncnet.embed_lips(second[None]))
        columns = torch.from_numpy(mfcc(speech)).float().T
        torch.testing.assert_close(heard[2:], syncnet.embed_audio(columns[None, None, :, 8:28]))


def test_expert_hears_and_sees_what_it_was_trained_on() -> None:
    expert = SyncExpert(SyncExpertConfig(base_channels=2, embedding_channels=8)).eval()
    judge = ExpertJudge(expert, CPU)
    faces = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)
    speech = speech_of(np.random.default_rng(1).random(12))
    with torch.inference_mode():
        lips, heard = judge.embed_lips(faces), judge.embed_speech(speech, 4)
        lower = torch.from_numpy(faces[1:6, 48:, :, ::-1].copy()).float() / 255
        stacked = lower.permute(0, 3, 1, 2).reshape(1, 15, 48, 96)
        from retalking.media.sound.mel import log_mel

        mel = torch.from_numpy(log_mel(speech).windows(np.array([3 / 25])))
        wanted_heard, wanted_lips = expert(mel, stacked)
        larger = faces.repeat(4, axis=1).repeat(4, axis=2)  # E-Net's size
        torch.testing.assert_close(judge.embed_lips(larger), lips)
    torch.testing.assert_close(lips[1:], wanted_lips)
    torch.testing.assert_close(heard[3:], wanted_heard)
    track = still_track(3)
    place = judge.place(track, np.array([2]))[0]
    assert judge.cut(np.zeros((300, 300, 3), np.uint8), place).shape == (96, 96, 3)


def test_a_whole_clip_with_untrained_networks() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (14, 300, 300, 3), dtype=np.uint8)
    clip = Clip("noise", 25.0, speech_of(rng.random(14)), still_track(14))
    expert = SyncExpert(SyncExpertConfig(base_channels=2, embedding_channels=8)).eval()
    metric = LipSync(ExpertJudge(expert, CPU), "expert_")
    meter = metric.start(clip)
    meter.add(ClipChunk(0, frames))
    found = metric.values(meter.finish())
    assert 0 <= found["expert_lse_d"] <= 2**0.5
    assert found["expert_lse_c"] >= 0


def test_missing_and_unfit_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"syncnet_v2.*LSE-D.*not here.*--weights syncnet_v2=FI"):
        load_syncnet({"syncnet_v2": tmp_path / "syncnet_v2.model"}, CPU)
    with pytest.raises(WeightsError, match=r"no lip-sync expert: .*lite.expert.*--weights"):
        load_expert({}, CPU, folder=tmp_path)
    short = SyncExpert(SyncExpertConfig(base_channels=2, embedding_channels=8, num_frames=3))
    weights.save(tmp_path / "short.safetensors", short)
    with pytest.raises(WeightsError, match="sees 3 frames, expected 5"):
        load_expert({"lipsync_expert": tmp_path / "short.safetensors"}, CPU)


def test_our_own_expert_is_found_in_its_place(tmp_path: Path) -> None:
    expert = SyncExpert(SyncExpertConfig(base_channels=2, embedding_channels=8))
    weights.save(tmp_path / "lite" / "expert.safetensors", expert)
    judge = load_expert({}, CPU, folder=tmp_path)
    heard = judge.embed_speech(speech_of(np.full(9, 0.1)), 2)
    torch.testing.assert_close(heard.norm(dim=1), torch.ones(2))
