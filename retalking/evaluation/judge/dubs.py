"""Dubs for the outside judge, made by the project's own pipeline and kept by content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from retalking.cache_folder import code_version
from retalking.evaluation.judge.cast import Trial
from retalking.evaluation.methods import Method
from retalking.files import sha256_of
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.media.sound import audio
from retalking.media.sound.wav import write_clip
from retalking.networks.load import Parts, load_parts
from retalking.types import AudioClip, FloatArray

_KEEP_AWAY_S = 0.5


class Dubber:
    """Makes the dubs that a folder does not hold yet.

    A dub is named by what it depends on: both files, the options, the weights, and the code. None
    is ever stale.
    """

    def __init__(self, config: InferenceConfig, folder: Path, parts: Parts | None = None) -> None:
        """Prepare to dub into a folder, which is made; networks are loaded when one is needed."""
        self._folder = folder
        self._code = code_version()[:12]
        self._config = config.model_copy(
            update={"tmp_dir": config.tmp_dir or folder / f"analysis-{self._code}"}
        )
        self._parts = parts
        folder.mkdir(parents=True, exist_ok=True)

    def dub(self, trial: Trial, seconds: float) -> Path:
        """Return the dub of a trial.

        Raises:
            MediaError: a file cannot be read or written.
            FaceNotFoundError: there is no face to edit.
            WeightsError: a weight file is missing or does not fit.
        """
        speech = self._folder / f"{trial.kind}-{trial.name}.wav"
        write_clip(speech, hear(trial, seconds))
        config = self._config
        if trial.kind == "self":
            # A frame that lends itself its mouth would be the truth.
            config = config.model_copy(update={"keep_away_s": _KEEP_AWAY_S})
        described = Method.from_config("dub", config).describe()
        parts = [sha256_of(trial.face), sha256_of(speech), self._code, json.dumps(described)]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        path = self._folder / f"{trial.kind}-{trial.name}-{key}.mp4"
        if not path.is_file():
            self._parts = self._parts or load_parts(config)
            Retalker(config, self._parts)(trial.face, speech, path)
        return path


def hear(trial: Trial, seconds: float) -> AudioClip:
    """Return the words of a trial, in step with the lips of their speaker from time 0 on."""
    clip = audio.load(trial.speaker.video)
    samples = shift(clip.samples, round(trial.speaker.audio_offset_s * clip.sample_rate_hz))
    samples = samples[: round(seconds * clip.sample_rate_hz)]
    if trial.kind == "silence":
        samples = np.zeros_like(samples)
    return AudioClip(samples, clip.sample_rate_hz)


def shift(samples: FloatArray, by: int) -> FloatArray:
    """Delay sound ``[N]`` by so many samples, with silence before it; negative: cut its head."""
    return np.concatenate([np.zeros(max(by, 0), samples.dtype), samples[max(-by, 0) :]])
