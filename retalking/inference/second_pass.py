"""The second pass of a planned dub, as a whole or in parts, and what is kept of it meanwhile."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from retalking.analysis.cache import fingerprint
from retalking.cache_folder import job_folder
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import Dub, make_mouth
from retalking.inference.scenes import cache_folder, wanted_expression
from retalking.media.memory import waiting_chunks
from retalking.media.prefetch import read_ahead
from retalking.media.sound.mel import MelSpectrogram
from retalking.mouth.networks.device_mouth import DeviceMouth
from retalking.networks.load import Parts
from retalking.rendering.finished_frames import FinishedFrames
from retalking.rendering.mouth import Mouth
from retalking.rendering.parts import Part
from retalking.rendering.renderer import RenderedChunk, Renderer
from retalking.timings import Timings
from retalking.trust.marking import picture_mark
from retalking.types import FrameChunk


def render_dub(
    dub: Dub,
    parts: Parts,
    config: InferenceConfig,
    timings: Timings,
    kept: FinishedFrames | None = None,
    only: Part | None = None,
) -> Generator[RenderedChunk, None, None]:
    """Make the frames of an output.

    Args:
        dub: what is to be made.
        parts: the networks.
        config: how.
        timings: told how long each stage took.
        kept: finished chunks of an earlier run of the same job.
        only: make this part of it, and the frames that smoothing sees beside it.

    Yields:
        Chunks in the order of the output.
    """
    renderer = make_renderer(dub, parts, config, timings, kept)
    read = dub.read(config.chunk_size) if only is None else dub.read_part(only, config.chunk_size)
    ahead = read_ahead(timed(read, timings), waiting_chunks(dub.scene.source.info))
    with closing(ahead) as chunks:
        yield from renderer.render(chunks)


def outputs_of(
    chunks: Generator[RenderedChunk, None, None],
) -> Generator[FrameChunk, None, None]:
    """Yield the frames alone; closing it closes the chunks."""
    with closing(chunks):
        for chunk in chunks:
            output = chunk.output
            del chunk  # so that its source is not held while the next one is made
            yield output


def make_renderer(
    dub: Dub,
    parts: Parts,
    config: InferenceConfig,
    timings: Timings,
    kept: FinishedFrames | None = None,
) -> Renderer[Any]:
    """Return what makes the frames of an output out of those of its source."""
    heard = dub.speech.heard
    if isinstance(heard, MelSpectrogram) and DeviceMouth.suits(parts, config):
        expression = wanted_expression(parts, config)
        mark = picture_mark(dub.scene, dub.plan, config)
        mouth: Mouth[Any] = DeviceMouth(
            parts, dub.scene, dub.plan, heard, config, expression, mark, timings
        )
    else:
        mouth = make_mouth(dub, parts, config, timings)
    return render_with(mouth, dub, config, timings, kept)


def render_with(
    mouth: Mouth[Any],
    dub: Dub,
    config: InferenceConfig,
    timings: Timings,
    kept: FinishedFrames | None = None,
) -> Renderer[Any]:
    """Return what makes the frames, marked as the configuration says, with a mouth of one's own."""
    mark = picture_mark(dub.scene, dub.plan, config)
    return Renderer(dub.scene, dub.plan, mouth, timings, kept, mark)


def kept_frames(
    dub: Dub, parts: Parts, config: InferenceConfig, only: Part | None = None
) -> FinishedFrames:
    """Return where the finished frames of a dub are kept until it is complete.

    Those of an earlier job are removed if ``re_preprocess`` says to ignore them.

    Args:
        dub: see there.
        parts: the networks.
        config: how the frames are made.
        only: keep the frames of this part.
    """
    kept = FinishedFrames(job_folder(cache_folder(config), job_key(dub, parts, config)), only)
    if config.re_preprocess:
        kept.clear()
    return kept


def job_key(dub: Dub, parts: Parts, config: InferenceConfig) -> str:
    """Fingerprint of everything that the output's pixels depend on."""
    files = [dub.scene.source.info.path, dub.speech.path, *parts.weight_files]
    # Where chunks begin; how long the output is, which another speaker may decide.
    options = (config.pixel_values(), dub.parts, len(dub.plan))
    if config.watermark_key is not None:
        files.append(config.watermark_key)
    return fingerprint([*files, *config.pictures()], options)


def timed(chunks: Iterator[FrameChunk], timings: Timings) -> Iterator[FrameChunk]:
    """Pass chunks on, and count the time that each takes as decoding."""
    while True:
        with timings.measure("decode", 0):
            chunk = next(chunks, None)
        if chunk is None:
            return
        timings.count("decode", len(chunk))
        yield chunk
