"""Several people in one video, each with words of their own."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from retalking.config import section_values
from retalking.errors import ConfigError, FaceNotFoundError
from retalking.face.detection import intersection_over_union
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import Dub, Speech, plan_dub, review_dub
from retalking.inference.pipeline import Retalker
from retalking.inference.scenes import look_at_people, open_source
from retalking.inference.second_pass import kept_frames, make_renderer, timed
from retalking.inference.writing import DubbingReport, seal_of, track_of, write_video
from retalking.media.given import Given, GivenFile, as_file
from retalking.media.memory import waiting_chunks
from retalking.media.options import EncoderSection
from retalking.media.output.encoding import EncoderOptions, check_output
from retalking.media.prefetch import read_ahead
from retalking.media.sound import audio
from retalking.media.sound.mixing import mix_files
from retalking.media.source import Source
from retalking.progress import DUBBING, REVIEWING, Watch, Watched, Wish, watching
from retalking.rendering.renderer import RenderedChunk
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import FaceTrack, FrameChunk

Who = int | tuple[int, int, int, int] | Path
"""A person: n-th by size from 0, in a box (left, top, right, bottom), or of a photograph."""
_SAME_FACE = 0.5


def parse_speakers(texts: Sequence[str]) -> dict[Who, Path]:
    """Read ``0=a.wav``, ``10,20,200,240=b.wav`` or ``anna.jpg=c.wav``.

    Raises:
        ConfigError: something else, or a person twice.
    """
    speakers: dict[Who, Path] = {}
    for text in texts:
        name, equals, speech = text.rpartition("=")
        if not (equals and name and speech):
            raise ConfigError(
                f"--speaker-audio {text}: expected PERSON=SPEECH, such as 0=a.wav, "
                "10,20,200,240=a.wav or anna.jpg=a.wav"
            )
        who = _who(name)
        if who in speakers:
            raise ConfigError(f"--speaker-audio {text}: this person has a speech already")
        speakers[who] = Path(speech)
    return speakers


def converse(
    retalker: Retalker,
    face: Given,
    speakers: Mapping[Who, Given],
    outfile: str | Path,
    mix: Given | None = None,
    progress: Watched = False,
    cancel: Wish | None = None,
    review: bool = False,
) -> DubbingReport:
    """Give several people in a video words of their own, in one pass.

    Who is silent has a closed mouth. The output lasts as long as ``mix`` or the longest speech.

    Args:
        retalker: networks, and options for all; it makes no choice of a face.
        face: video with the people.
        speakers: a speech for each.
        outfile: where the result goes; it appears only when it is complete.
        mix: what is heard; without it, all speeches at once.
        progress: as for ``Retalker``.
        cancel: as for ``Retalker``.
        review: look at the result afterwards, at one person after the other.

    Raises:
        MediaError: a file cannot be read or written.
        FaceNotFoundError: somebody is not in the video.
        ConfigError: options that do not fit the files, or two speakers with one face.
        CancelledError: ``cancel`` said so; no output is written, unless it is being reviewed.
    """
    timings, outfile = Timings(), Path(outfile)
    given = [as_file(speech) for speech in speakers.values()]
    files, whole = [file.path for file in given], None if mix is None else as_file(mix)
    encoder = EncoderOptions(**section_values(retalker.config, [EncoderSection]))
    configs = [_aimed_at(retalker.config, who) for who in speakers]
    with ExitStack() as resources:
        watch = resources.enter_context(watching(progress, cancel))
        source = resources.enter_context(closing(open_source(face, retalker.config)))
        check_output(outfile, encoder, (source.info.path, *files, *([whole.path] if whole else [])))
        speeches = _hear_all(files, whole, retalker)
        num_frames = round(speeches[0].duration_s * source.info.frame_rate)
        watch.expect(DUBBING, num_frames)
        if review:
            watch.expect(REVIEWING, len(speeches) * num_frames)
        scenes = _find_everyone(source, retalker, configs, speakers, timings, watch)
        dubs = [plan_dub(*each) for each in zip(scenes, speeches, configs, strict=True)]
        timeline = dubs[0].plan.timeline
        track = track_of(retalker.config, _heard(files, whole, resources), timeline.duration_s)
        chunks = _talk(dubs, configs, retalker, timings)
        seal = seal_of(retalker.config, retalker.parts, scenes[0], files)
        write_video(chunks, scenes[0], timeline, outfile, encoder, track, watch, timings, seal)
        for dub, config in zip(dubs, configs, strict=True):
            kept_frames(dub, retalker.parts, config).clear()
        reviews = tuple(
            review_dub(dub, outfile, retalker.parts, config, watch, timings)
            for dub, config in zip(dubs, configs, strict=True)
            if review
        )
    edited = int(np.count_nonzero(np.any([dub.plan.opacity > 0 for dub in dubs], axis=0)))
    return DubbingReport(outfile, len(timeline), edited, timeline.duration_s, timings, reviews)


def _hear_all(files: Sequence[Path], mix: GivenFile | None, retalker: Retalker) -> list[Speech]:
    """Listen to all speeches; each lasts as long as the output."""
    speeches = [retalker.hear(path) for path in files]
    lasts_s = max(speech.duration_s for speech in speeches)
    if mix is not None:
        limit_s = retalker.config.max_seconds
        lasts_s = audio.load(mix.path, max_seconds=limit_s).duration_s
    return [dataclasses.replace(speech, duration_s=lasts_s) for speech in speeches]


def _heard(files: Sequence[Path], mix: GivenFile | None, resources: ExitStack) -> Path:
    if mix is not None:
        return mix.path
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
    mix_files(files, folder / "mix.wav")
    return folder / "mix.wav"


def _who(name: str) -> Who:
    if re.fullmatch(r"\d{1,3}", name):
        return int(name)
    if re.fullmatch(r"\d+(,\d+){3}", name):
        left, top, right, bottom = map(int, name.split(","))
        return left, top, right, bottom
    return Path(name)


def _aimed_at(config: InferenceConfig, who: Who) -> InferenceConfig:
    """Return a configuration with the choice of one person."""
    if any(
        choice is not None for choice in (config.face_index, config.face_box, config.face_image)
    ):
        raise ConfigError(
            "face_index, face_box and face_image choose one person; speakers are several"
        )
    if config.speaker is not None:
        raise ConfigError("speaker holds the mouths of one person; speakers are several")
    name = {int: "face_index", tuple: "face_box"}.get(type(who), "face_image")
    return config.model_copy(update={name: who})


def _find_everyone(
    source: Source,
    retalker: Retalker,
    configs: Sequence[InferenceConfig],
    speakers: Mapping[Who, Given],
    timings: Timings,
    watch: Watch,
) -> list[Scene]:
    found = look_at_people(source, retalker.parts, configs, timings, watch)
    scenes: list[Scene] = []
    for who in speakers:
        try:
            scene = next(found)
        except FaceNotFoundError as error:
            raise FaceNotFoundError(f"speaker {_name(who)}: {error}") from None
        for other, earlier in zip(speakers, scenes, strict=False):
            if _same_face(earlier.analysis.track, scene.analysis.track):
                raise ConfigError(
                    f"speakers {_name(other)} and {_name(who)} are one face; choose them otherwise"
                )
        scenes.append(scene)
    return scenes


def _name(who: Who) -> str:
    return ",".join(map(str, who)) if isinstance(who, tuple) else str(who)


def _same_face(first: FaceTrack, second: FaceTrack) -> bool:
    both = np.flatnonzero(first.detected & second.detected)
    shared = [
        intersection_over_union(first.boxes_px[row], second.boxes_px[row][None])[0] for row in both
    ]
    return bool(shared) and float(np.median(shared)) > _SAME_FACE


def _talk(
    dubs: Sequence[Dub],
    configs: Sequence[InferenceConfig],
    retalker: Retalker,
    timings: Timings,
) -> Generator[FrameChunk, None, None]:
    """Yield the frames with everyone's new face; the video is read once for all."""
    parts, size = retalker.parts, retalker.config.chunk_size
    renderers = [
        make_renderer(dub, parts, config, timings, kept_frames(dub, parts, config))
        for dub, config in zip(dubs, configs, strict=True)
    ]
    read = timed(dubs[0].read(size), timings)
    with closing(read_ahead(read, waiting_chunks(dubs[0].scene.source.info))) as chunks:
        copies = itertools.tee(chunks, len(dubs))
        made = [renderer.render(copy) for renderer, copy in zip(renderers, copies, strict=True)]
        for together in zip(*made, strict=True):
            yield _lay_together(together)


def _lay_together(made: Sequence[RenderedChunk]) -> FrameChunk:
    """Join chunks of which each shows one new face; where two overlap, the later one shows."""
    first = made[0]
    rgb = first.output.rgb.copy() if len(made) > 1 else first.output.rgb
    for other in made[1:]:
        changed = (other.output.rgb != other.source.rgb).any(axis=-1)
        rgb[changed] = other.output.rgb[changed]
    return dataclasses.replace(first.output, rgb=rgb)
