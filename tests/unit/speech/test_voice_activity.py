from __future__ import annotations

import numpy as np
import pytest
import torch

from models import weights
from models.speech.voice_activity import VoiceActivityNet
from retalking.arrays import scratch
from retalking.errors import MediaError
from retalking.speech.lip_shapes import VOICE_ACTIVITY_PATH
from retalking.speech.voice_activity import hear_voice
from retalking.types import AudioClip
from tests.speech import RATE_HZ, vowels

CLOSED_WITHIN_S = 0.15
PROBABILITIES = [0.5354, 0.6770, 0.5107, 0.6066, 0.8230, 0.9458, 0.9766, 0.9914, 0.9896, 0.9825]


@pytest.fixture(scope="module")
def network() -> VoiceActivityNet:
    return weights.load(VOICE_ACTIVITY_PATH, VoiceActivityNet)


def joined(*parts: np.ndarray) -> AudioClip:
    return AudioClip(np.concatenate(parts).astype(np.float32), RATE_HZ)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ))


def noise(seconds: float, level: float) -> np.ndarray:
    return level * np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ))


def test_probabilities_are_those_of_the_package(network: VoiceActivityNet) -> None:
    """What silero-vad 6.2.3 says, run by ONNX Runtime, to half precision of the weights."""
    padded = torch.from_numpy(np.pad(vowels(0.32).samples, (64, 0)))
    with torch.inference_mode():
        probability, _ = network(padded.unfold(0, 576, 512))
    np.testing.assert_allclose(probability.numpy(), PROBABILITIES, atol=0.01)


@pytest.mark.parametrize("after", [silence(1), noise(1.5, 0.001)], ids=["silence", "soft noise"])
def test_the_mouth_closes_soon_after_the_voice(
    network: VoiceActivityNet, after: np.ndarray
) -> None:
    speaking = hear_voice(joined(silence(0.5), vowels(1.5).samples, after), network)
    end = round(50 * (0.5 + 1.5))
    assert speaking[25 : end - 2].min() > 0.95
    assert speaking[: round(50 * 0.35)].max() < 0.05
    assert speaking[end + round(50 * CLOSED_WITHIN_S) :].max() < 0.05


def test_short_pauses_are_part_of_speech(network: VoiceActivityNet) -> None:
    pause = noise(0.4, 0.001)
    clip = joined(vowels(1).samples, pause, vowels(1, seed=1).samples)
    assert hear_voice(clip, network).min() > 0.95


def test_a_pause_before_the_end_of_the_track_is_part_of_speech(network: VoiceActivityNet) -> None:
    """What is cut off in a pause was closed from the pause's beginning on."""
    pause = noise(0.38, 0.004)
    clip = joined(vowels(1).samples, pause, silence(0.3))
    end = round(50 * (1 + 0.38))
    assert hear_voice(clip, network)[: end - 4].min() > 0.95
    assert hear_voice(clip, network)[end + 2 :].max() < 0.05


def test_live_lips_close_when_silence_has_lasted(network: VoiceActivityNet) -> None:
    clip = joined(vowels(1.5).samples, noise(2, 0.001))
    speaking = hear_voice(clip, network, live=True)
    closed = np.flatnonzero(speaking < 0.05)
    assert 50 * (1.5 + 0.7) < closed[0] < 50 * (1.5 + 1.1)
    digital = hear_voice(joined(vowels(1.5).samples, silence(1)), network, live=True)
    assert np.flatnonzero(digital < 0.05)[0] <= 50 * (1.5 + 0.26)


def test_breath_noise_and_music_are_no_speech(network: VoiceActivityNet) -> None:
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    breath = noise(3, 0.03) * np.clip(np.sin(2 * np.pi * 0.5 * time_s), 0, 1)
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220, 277, 330)) * 0.05
    for sound in (breath, noise(3, 0.01), chord):
        speaking = hear_voice(joined(vowels(1).samples, sound), network)
        # A buzz that becomes a chord without a break is doubted a block later than a voice.
        assert speaking[50 + round(50 * CLOSED_WITHIN_S) + 2 :].max() < 0.05
        assert speaking[:48].min() > 0.95


@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_loudness_does_not_matter(network: VoiceActivityNet, gain: float) -> None:
    clip = joined(silence(0.5), vowels(1.5, level=0.05).samples, silence(0.5))
    louder = AudioClip(clip.samples * np.float32(gain), RATE_HZ)
    np.testing.assert_allclose(hear_voice(louder, network), hear_voice(clip, network), atol=0.01)


def test_long_tracks_are_heard_in_blocks(
    network: VoiceActivityNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = joined(vowels(1).samples, silence(0.7), vowels(0.613, seed=1).samples)
    whole = hear_voice(clip, network)
    monkeypatch.setattr(scratch, "BLOCK_FRAMES", 7)
    # Rounding of a recurrent network in other batch sizes.
    np.testing.assert_allclose(hear_voice(clip, network), whole, atol=1e-4)
    assert len(whole) == -(-len(clip.samples) // 320)


def test_empty_audio_is_refused(network: VoiceActivityNet) -> None:
    with pytest.raises(MediaError, match="no samples"):
        hear_voice(joined(silence(0)), network)
