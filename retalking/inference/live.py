"""Frames for speech that is still being spoken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.coefficients.basis import ExpressionBasis
from retalking.errors import ConfigError, MediaError
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import find_person, plan_frames
from retalking.inference.scenes import wanted_expression
from retalking.media.given import LiveSound
from retalking.media.prefetch import read_ahead
from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.mouth.live_mouth import LiveMouth
from retalking.mouth.own_pixels import lips_of_expression
from retalking.mouth.warp import WarpOptions
from retalking.networks.load import Parts
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.paste_back import MarkedFrame, composite
from retalking.rendering.scene import Scene
from retalking.speech.live import LiveLips
from retalking.trust.marking import picture_mark
from retalking.types import FloatArray, UInt8Array

_LOOK_AHEAD_S = 0.2
"""Costs little (model card); with blocks of 0.2 s a frame comes less than 0.5 s after its sound."""
_FIRST_HORIZON_S = 60.0
_MARGIN_S = 1.0
"""The end of a horizon, where a longer one may plan otherwise."""
_READ_AHEAD = 4
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class _Shown:
    """A frame that waits for its lips."""

    rgb: UInt8Array
    source: int
    time_s: float
    audio_time_s: float
    opacity: float
    run: int
    marked: MarkedFrame | None


def live_frames(
    scene: Scene, sound: LiveSound, parts: Parts, config: InferenceConfig
) -> Iterator[tuple[UInt8Array, float]]:
    """Make frames as soon as their lips are heard; see ``Retalker.frames``.

    Args:
        scene: the video.
        sound: the speech; asked for its next block when all frames that can be made are made.
        parts: networks that hear.
        config: how lips look; ``mouth`` is ``warp``, with no network behind it.

    Yields:
        RGB uint8 ``[H, W, 3]``, and the second at which it is shown.

    Raises:
        ConfigError: the configuration asks for what needs the whole speech.
        MediaError: blocks of another form, or no sound in them.
    """
    if parts.listener is None:
        raise ConfigError("live speech: needs --mouth warp; the networks hear whole files")
    if config.up_face != "original" or parts.restorer is not None or parts.parser is not None:
        raise ConfigError("live speech: leave up_face, restorer and parser at the lite profile's")
    lips = LiveLips(parts.listener, config.look_ahead_s or _LOOK_AHEAD_S)
    maker = _Maker(scene, parts, config, lips)
    with closing(read_ahead(_endless(scene, config), _READ_AHEAD)) as frames:
        waiting = next(frames, None)
        for block in _at_16_khz(sound):
            lips.add(block)
            batch = []
            while waiting is not None and waiting.audio_time_s <= lips.known_s:
                batch.append(waiting)
                waiting = next(frames, None)
            yield from maker.make(batch)
            if config.max_seconds is not None and lips.heard_s > config.max_seconds + 1:
                break
        if lips.heard_s == 0:
            raise MediaError("live speech: no sound came")
        lips.end()
        last_s = lips.heard_s if config.length_policy != "video" else float("inf")
        last_s = min(last_s, config.max_seconds or float("inf")) - _ROUNDING_S
        while waiting is not None and waiting.time_s < last_s:
            yield from maker.make([waiting])
            waiting = next(frames, None)


class _Maker:
    """Makes the frames of which the lips are known."""

    def __init__(self, scene: Scene, parts: Parts, config: InferenceConfig, lips: LiveLips) -> None:
        basis, person = ExpressionBasis.from_file(), find_person(config)
        offset = lips_of_expression(wanted_expression(parts, config), basis)
        options = WarpOptions(
            config.lip_strength, tuple(offset.tolist()), scene.pads, config.keep_away_s
        )
        self._mouth = LiveMouth(
            scene.source,
            scene.analysis,
            options,
            basis,
            known=person.lips if person else None,
            bank=person.bank if person else None,
        )
        self._num_bands = choose_num_levels(scene.face_height_px)
        self._lips = lips

    def make(self, frames: list[_Shown]) -> Iterator[tuple[UInt8Array, float]]:
        """Yield the frames with their new faces."""
        if not frames:
            return
        shapes = self._lips.at(np.array([frame.audio_time_s for frame in frames]))
        rows = [row for row, frame in enumerate(frames) if frame.opacity > 0]
        made = {row: frames[row].rgb.copy() for row in rows}
        if rows:
            layers = self._mouth.layers(
                [frames[row].rgb for row in rows],
                np.array([frames[row].source for row in rows]),
                np.array([frames[row].run for row in rows]),
                shapes[rows],
            )
            for row, layer in zip(rows, layers, strict=True):
                frame = frames[row]
                composite(
                    made[row],
                    layer,
                    self._num_bands,
                    opacity=frame.opacity,
                    marked=frame.marked,
                )
        for row, frame in enumerate(frames):
            yield made.get(row, frame.rgb), frame.time_s


def _endless(scene: Scene, config: InferenceConfig) -> Iterator[_Shown]:
    """Yield the source's frames as an output shows them that has no end in sight."""
    horizon_s, number = _FIRST_HORIZON_S, 0
    while True:
        plan = plan_frames(scene, horizon_s, config)
        timeline, mark = plan.timeline, picture_mark(scene, plan, config)
        ends = config.length_policy == "video"
        last = len(plan)
        if not ends:
            last = int(np.searchsorted(timeline.time_s, timeline.duration_s - _MARGIN_S))
        index = timeline.source_index[number:last]
        for chunk in scene.source.read_frames(index, scene.analysis.pts, 1):
            row = number + chunk.start
            source = int(timeline.source_index[row])
            yield _Shown(
                chunk.rgb[0],
                source,
                float(timeline.time_s[row]),
                float(timeline.audio_time_s[row]),
                float(plan.opacity[row]),
                int(plan.run[row]),
                None if mark is None else MarkedFrame(mark, row, source),
            )
        if ends:
            return
        number, horizon_s = last, 2 * horizon_s


def _at_16_khz(sound: LiveSound) -> Iterator[FloatArray]:
    """Yield mono blocks at the rate at which speech is heard."""
    stream = soxr.ResampleStream(sound.sample_rate_hz, SAMPLE_RATE_HZ, 1, "float32", "HQ")
    for block in sound.blocks:
        samples = np.asarray(block)
        if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
            got = f"{samples.dtype}{list(samples.shape)}"
            raise MediaError(f"live speech: got a block {got}, expected float[N] or float[C, N]")
        mono = samples if samples.ndim == 1 else samples.mean(axis=0)
        if not np.isfinite(mono).all():
            raise MediaError("live speech: a block has NaN or infinite samples")
        mono = np.ascontiguousarray(mono, np.float32)
        if sound.sample_rate_hz != SAMPLE_RATE_HZ:
            mono = stream.resample_chunk(mono)
        yield mono
    if sound.sample_rate_hz != SAMPLE_RATE_HZ:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
