"""Frames for speech that is still being spoken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retalking import LiveSound, Retalker
from retalking.errors import ConfigError, MediaError
from retalking.inference import live
from retalking.inference.dub import plan_frames
from retalking.rendering.scene import Scene
from retalking.types import FloatArray
from tests import media
from tests.e2e.pipelines.test_python_api import cut_sample
from tests.speech import vowels

RATE_HZ = 16000
SPEECH = vowels(1.3).samples
PROMISED_S = 0.5


@pytest.fixture(scope="module")
def retalker(tmp_path_factory: pytest.TempPathFactory) -> Retalker:
    folder = tmp_path_factory.mktemp("cache")
    return Retalker.from_profile("lite", tmp_dir=str(folder), look_ahead_s=0.2)


@pytest.fixture(scope="module")
def scene(retalker: Retalker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    cut_sample(path, 16)  # shorter than the speech: it plays back, too
    with retalker.prepare(path) as scene:
        yield scene


class Paced:
    """Gives speech in blocks, and knows how much was given."""

    def __init__(self, samples: FloatArray, block_s: float = 0.2, rate_hz: int = RATE_HZ) -> None:
        self.given_s = 0.0
        self._samples, self._size, self._rate_hz = samples, round(block_s * rate_hz), rate_hz

    def __iter__(self) -> Iterator[FloatArray]:
        for start in range(0, self._samples.shape[-1], self._size):
            block = self._samples[..., start : start + self._size]
            self.given_s += block.shape[-1] / self._rate_hz
            yield block


def test_frames_come_soon_after_their_sound_and_look_like_those_of_the_whole_speech(
    retalker: Retalker, scene: Scene, tmp_path: Path
) -> None:
    paced = Paced(SPEECH)
    frames, times, waits = [], [], []
    for rgb, time_s in retalker.frames(scene, LiveSound(paced, RATE_HZ)):
        frames.append(rgb)
        times.append(time_s)
        waits.append(paced.given_s - time_s)
    assert max(waits) < PROMISED_S
    media.write_audio(tmp_path / "speech.wav", SPEECH, RATE_HZ)
    whole = list(retalker.frames(scene, tmp_path / "speech.wav"))
    assert times == [time_s for _, time_s in whole]
    index = plan_frames(scene, len(SPEECH) / RATE_HZ, retalker.config).timeline.source_index
    sources = [
        chunk.rgb[0] for chunk in scene.source.read_frames(index, scene.analysis.pts, chunk_size=1)
    ]
    live_change, change, apart = (
        np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs])
        for pairs in (
            zip(frames, sources, strict=True),
            zip((rgb for rgb, _ in whole), sources, strict=True),
            zip(frames, (rgb for rgb, _ in whole), strict=True),
        )
    )
    # The lips are the same; the frames that lend the mouth's inside need not be.
    assert live_change == pytest.approx(change, rel=0.3)
    assert apart < 0.5 * change
    top = slice(0, frames[0].shape[0] // 4)
    assert all(np.array_equal(a[top], b[top]) for a, b in zip(frames, sources, strict=True))


def test_any_blocks_rates_and_channels_will_do(retalker: Retalker, scene: Scene) -> None:
    stereo = np.repeat(np.stack([SPEECH[:8000], SPEECH[:8000]]), 3, axis=1)
    paced = Paced(stereo, block_s=0.013, rate_hz=48000)
    times = [time_s for _, time_s in retalker.frames(scene, LiveSound(paced, 48000))]
    assert times == pytest.approx(np.arange(13) / 25)  # half a second


def test_what_live_speech_cannot_do_is_one_line(
    retalker: Retalker, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for blocks, told in (
        ([], "no sound came"),
        ([np.zeros(9, np.int16)], r"got a block int16\[9\]"),
        ([np.full(9, np.nan)], "NaN"),
    ):
        with pytest.raises(MediaError, match=told):
            list(retalker.frames(scene, LiveSound(blocks, RATE_HZ)))
    monkeypatch.setattr(retalker, "config", retalker.config.model_copy(update={"up_face": "sad"}))
    with pytest.raises(ConfigError, match="up_face"):
        list(retalker.frames(scene, LiveSound([SPEECH], RATE_HZ)))


def test_live_faces_carry_the_same_mark(retalker: Retalker, scene: Scene) -> None:
    def first(**options: object) -> FloatArray:
        config = retalker.config.model_copy(update=options)
        frames = Retalker(config, retalker.parts).frames(scene, LiveSound([SPEECH[:4000]], RATE_HZ))
        return np.stack([rgb for rgb, _ in frames]).astype(np.float32)

    plain, marked, other = first(watermark="off"), first(), first(watermark_payload=7)
    change, others = marked - plain, other - plain
    assert 0.5 < change[change != 0].std() < 6  # seen by no eye, but there
    assert np.array_equal(marked, first())
    assert not np.array_equal(change, others)


def test_no_length_is_known_beforehand(
    retalker: Retalker, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_FIRST_HORIZON_S", 1.5)
    plan = plan_frames(scene, 8.0, retalker.config)
    endless = live._endless(scene, retalker.config)
    shown = [next(endless) for _ in range(len(plan))]  # several horizons
    assert [frame.source for frame in shown] == plan.timeline.source_index.tolist()
    assert [frame.run for frame in shown] == plan.run.tolist()
    assert [frame.time_s for frame in shown] == plan.timeline.time_s.tolist()
