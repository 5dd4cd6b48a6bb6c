"""A scene that speaks a speech: which frames are made, and how."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retalking.errors import CancelledError, ConfigError
from retalking.inference.config import InferenceConfig
from retalking.inference.scenes import wanted_expression
from retalking.media.given import Given, as_file
from retalking.media.sound import audio
from retalking.media.sound.hearing import hear
from retalking.media.sound.mel import WINDOW_STEPS, MelSpectrogram
from retalking.mouth.emotion import EmotionalMouth
from retalking.mouth.networks.network_mouth import NetworkMouth
from retalking.mouth.own_pixels import OwnPixelsMouth
from retalking.mouth.person import Person
from retalking.mouth.restored import RestoredMouth
from retalking.networks.load import Parts
from retalking.progress import Watch
from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.mouth import Mouth
from retalking.rendering.parts import Part, split_plan
from retalking.rendering.scene import Scene
from retalking.rendering.streaming_filter import SEEN_AROUND
from retalking.rendering.timeline import build_timeline
from retalking.review.review import Review, review_result
from retalking.speech.lip_shapes import LipShapes, hear_lips
from retalking.timings import Timings
from retalking.types import FloatArray, FrameChunk

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speech:
    """What is said.

    Attributes:
        path: the file.
        heard: what the lips do, or the sound from which L-Net tells it.
        duration_s: its length.
        owner: of a temporary file; kept for as long as this is.
    """

    path: Path
    heard: LipShapes | MelSpectrogram
    duration_s: float
    owner: object = None


@dataclass(frozen=True)
class Dub:
    """A scene with its new speech.

    Attributes:
        scene: the video.
        speech: what is said.
        plan: which frames are shown when, and which of them are edited.
        parts: frames of the output that are made together, if several processes share them.
    """

    scene: Scene
    speech: Speech
    plan: EditPlan
    parts: tuple[Part, ...] = ()

    def read(self, chunk_size: int) -> Iterator[FrameChunk]:
        """Yield the source frames in the order of the output; a part begins a new chunk."""
        for part in self.parts or ((0, len(self.plan)),):
            yield from self._read(part, chunk_size)

    def read_part(self, part: Part, chunk_size: int) -> Iterator[FrameChunk]:
        """Yield the source frames of a part, between those that smoothing sees beside it."""
        first, last = part
        for stretch in (
            (max(first - SEEN_AROUND, 0), first),
            part,
            (last, min(last + SEEN_AROUND, len(self.plan))),
        ):
            yield from self._read(stretch, chunk_size)

    def _read(self, part: Part, chunk_size: int) -> Iterator[FrameChunk]:
        first, last = part
        index = self.plan.timeline.source_index[first:last]
        for chunk in self.scene.source.read_frames(index, self.scene.analysis.pts, chunk_size):
            yield dataclasses.replace(chunk, start=first + chunk.start)


def listen_to(given: Given, parts: Parts, config: InferenceConfig) -> Speech:
    """Listen to a file, as far as it matters to a job that stops early.

    Args:
        given: anything with an audio stream, see ``Given``.
        parts: networks that hear.
        config: how to listen.

    Raises:
        MediaError: it cannot be read or has no sound.
    """
    file = as_file(given)
    path, end_s, heard_s = file.path, config.max_seconds, None
    if end_s is not None:
        heard_s = end_s + abs(config.sync_offset_ms) / 1000 + 1
    # 230 MB per hour; only what is heard of it is kept.
    clip = audio.load(path, track=config.audio_track, max_seconds=heard_s)
    heard: LipShapes | MelSpectrogram
    if parts.listener is None:
        heard = hear(clip, config.silence_gate)
    else:
        heard = hear_lips(clip, parts.listener, config.look_ahead_s)
        if not (heard.speaking > 0.5).any():
            logger.warning("%s: no speech is heard; the lips will not speak", path)
    return Speech(path, heard, min(clip.duration_s, end_s or float("inf")), file.folder)


def plan_dub(scene: Scene, speech: Speech, config: InferenceConfig) -> Dub:
    """Lay a speech over a scene.

    Raises:
        MediaError: the timestamps of the video do not increase.
    """
    return Dub(scene, speech, plan_frames(scene, speech.duration_s, config))


def plan_frames(scene: Scene, duration_s: float, config: InferenceConfig) -> EditPlan:
    """Plan which frames are shown when to a speech of some length, and which are edited.

    Raises:
        MediaError: the timestamps of the video do not increase.
    """
    analysis = scene.analysis
    timeline = build_timeline(
        analysis.pts,
        analysis.info.time_base,
        analysis.info.frame_rate,
        duration_s,
        config.length_policy,
        sync_offset_s=config.sync_offset_ms / 1000,
        min_rate_hz=0.0 if analysis.info.is_image else config.min_fps,
    )
    plan = make_edit_plan(timeline, analysis.track)
    if config.nosmooth:  # every frame is a run of its own
        plan = dataclasses.replace(plan, run=np.arange(len(plan)))
    return plan


def share_out(dub: Dub, part_s: float) -> Dub:
    """Cut a long dub into parts that several processes may make; see ``split_plan``.

    Args:
        dub: of ``plan_dub``.
        part_s: the longest that a part may last.
    """
    heard, times_s = dub.speech.heard, dub.plan.timeline.audio_time_s
    if isinstance(heard, MelSpectrogram):
        columns = (heard.starts(times_s) + WINDOW_STEPS // 2).clip(0, len(heard) - 1)
        loudness = heard.mel.mean(axis=0)[columns]
    else:
        loudness = heard.at(times_s).speaking
    return dataclasses.replace(dub, parts=split_plan(dub.plan, loudness, part_s))


def make_mouth(
    dub: Dub,
    parts: Parts,
    config: InferenceConfig,
    timings: Timings,
    expression: FloatArray | None = None,
) -> Mouth[Any]:
    """Return the way in which a configuration makes the mouth.

    Args:
        dub: the scene and its speech.
        parts: the networks.
        config: what the face does.
        timings: told how long each part took.
        expression: template ``[64]`` in place of the configuration's.

    Raises:
        ConfigError: an unknown expression template.
        FaceNotFoundError: the picture of the expression shows no face.
    """
    scene, speech = dub.scene, dub.speech
    if expression is None:
        expression = wanted_expression(parts, config)
    mouth: Mouth[Any]
    if isinstance(speech.heard, MelSpectrogram):
        mouth = NetworkMouth(parts, scene, speech.heard, config, expression, timings)
    else:
        lips = speech.heard.at(dub.plan.timeline.audio_time_s)
        mouth = OwnPixelsMouth(
            *(scene, dub.plan, lips.values, config, expression, timings),
            person=find_person(config),
            sounds=lips.sounds,
        )
    if config.up_face != "original":
        assert parts.ganimation is not None
        mouth = EmotionalMouth(
            mouth, parts.ganimation, parts.runner, scene, config.up_face, timings
        )
    if parts.restorer is not None or parts.parser is not None:
        mouth = RestoredMouth(mouth, parts, scene, config, timings)
    return mouth


def find_person(config: InferenceConfig) -> Person | None:
    """Return who speaks, if a configuration names somebody.

    Raises:
        ConfigError: there is no such person, or the mouth is made by networks.
    """
    if config.speaker is None:
        return None
    if config.mouth != "warp":
        raise ConfigError(
            f"--speaker {config.speaker}: holds the person's own pixels, for --mouth warp; the "
            "networks take a person's weights by --LNet_path and --ENet_path"
        )
    return Person.read(config.speaker)


def review_dub(
    dub: Dub,
    result: Path,
    parts: Parts,
    config: InferenceConfig,
    watch: Watch | None = None,
    timings: Timings | None = None,
) -> Review:
    """Look at a result as a person would, and judge it.

    Args:
        dub: what it was made of.
        result: the file.
        parts: the networks.
        config: how it was made.
        watch: told how far the review is.
        timings: told how long it took.

    Raises:
        MediaError: a file cannot be read, or the result is not of this dub.
        CancelledError: the watch said so; the result stays.
        KeyboardInterrupt: likewise.
    """
    left = f"{result} was written, its report was not"
    with (timings or Timings()).measure("review", len(dub.plan)):
        try:
            return review_result(
                dub.scene,
                dub.plan,
                dub.speech.path,
                result,
                listener=parts.listener,
                audio_track=config.audio_track,
                watch=watch,
            )
        except CancelledError:
            raise CancelledError(f"cancelled: {left}") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted: {left}") from None
