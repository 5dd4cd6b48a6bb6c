"""Frames and sound in time: rates, offsets, lips and speech in step."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from datasets.prepare.clip import ClipPreparer
from datasets.prepare.cutting import cut_audio, cut_mel, resample_frames
from datasets.prepare.store import prepare_store
from datasets.prepare.sync_offset import estimate_offset
from datasets.store.format import TRACKS
from datasets.store.reader import Store
from retalking.errors import MediaError
from retalking.media.sound.mel import log_mel
from retalking.types import AudioClip
from tests.media import speech_like, write_audio, write_video
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of, walking_face


def test_the_manifest_shifts_the_audio(store: Path, media: Path, tmp_path: Path) -> None:
    row = row_of(media, "talk", audio_offset_s=0.08)
    prepare_store(tmp_path / "store", [row], SETTINGS, 0)
    moved = Store(tmp_path / "store").clip(0).mel_windows(2, 12)
    plain = Store(store).clip(2).mel_windows(0, 10)
    # Two frames are 6.4 columns, of which windows begin at the whole ones.
    np.testing.assert_allclose(moved[::5], plain[::5], atol=3e-3)


def test_the_manifests_frame_rate_is_checked(media: Path) -> None:
    with pytest.raises(MediaError, match="got 25 frames per second, the manifest says 30"):
        ClipPreparer(SETTINGS).prepare(row_of(media, "talk", frame_rate=30.0))


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
        monkeypatch.setattr("datasets.prepare.in_step.estimate_offset", lambda *args: estimate)
        return preparer.prepare(row_of(media, "talk"))[0].notes

    start_s = float(prepared(0.0, 9.0)["audio_offset_s"])
    assert float(prepared(0.2, 9.0)["audio_offset_s"]) == pytest.approx(start_s + 0.2)
    assert float(prepared(0.2, 2.0)["audio_offset_s"]) == start_s
    assert float(prepared(0.08, 9.0)["audio_offset_s"]) == start_s
    with pytest.raises(MediaError, match=r"talk.mp4: audio and lips are -0.44 s apart"):
        prepared(-0.44, 9.0)


def test_audio_of_another_file(media: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", speech_like(0.6))
    row = row_of(media, "mute", audio=tmp_path / "a.wav")
    clip = ClipPreparer(SETTINGS).prepare(row)[0]
    assert clip.notes["audio_offset_s"] == "0.0000"
    missing = row_of(media, "mute", audio=tmp_path / "gone.wav")
    with pytest.raises(MediaError, match=r"gone.wav"):
        ClipPreparer(SETTINGS.model_copy(update={"needs_speech": False})).prepare(missing)


def test_rates_are_fractions_of_the_container(tmp_path: Path) -> None:
    face = walking_face(15)
    write_video(tmp_path / "v.mp4", pictures=face, rate=Fraction(30), audio=speech_like(0.5))
    clip = ClipPreparer(SETTINGS).prepare(row_of(tmp_path, "v"))[0]
    assert clip.parts[TRACKS]["source_frame"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13]
