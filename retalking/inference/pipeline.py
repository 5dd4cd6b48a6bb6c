"""The whole job: a face video and a speech in, the dubbed video out."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from retalking.analysis.cache import fingerprint
from retalking.cache_folder import job_folder, tidy
from retalking.config import section_values
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import Dub, Speech, listen_to, make_mouth, plan_dub
from retalking.inference.profiles import load_profile
from retalking.inference.scenes import cache_folder, look_at, open_source
from retalking.media.options import EncoderSection
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.extras import Extras, read_extras
from retalking.media.output.video_writer import VideoWriter
from retalking.media.prefetch import WriteBehind, read_ahead
from retalking.media.sound.audio_track import AudioTrack
from retalking.networks.load import Parts, load_parts
from retalking.rendering.finished_frames import FinishedFrames
from retalking.rendering.renderer import RenderedChunk, Renderer
from retalking.rendering.scene import Scene
from retalking.rendering.timeline import Timeline
from retalking.timings import Timings
from retalking.types import FrameChunk, UInt8Array, VideoInfo

_SAME_RATE = 0.02
"""Frame rates that differ by less are one, seen through jitter."""


@dataclass(frozen=True)
class DubbingReport:
    """What a job did.

    Attributes:
        outfile: the written file.
        num_frames: frames in it.
        num_edited: frames of these that show the new face.
        duration_s: its length.
        timings: per stage.
    """

    outfile: Path
    num_frames: int
    num_edited: int
    duration_s: float
    timings: Timings


class Retalker:
    """Dubs videos with the networks of one configuration, loaded once.

    Attributes:
        config: the configuration.
        parts: its networks.

    Example:
        ``Retalker.from_profile("lite")("talk.mp4", "speech.wav", "out.mp4")``, or, for one video
        and several speeches::

            with retalker.prepare("talk.mp4") as scene:
                for name in ("first", "second"):
                    retalker.dub(scene, f"{name}.wav", f"{name}.mp4")
    """

    def __init__(self, config: InferenceConfig, parts: Parts | None = None) -> None:
        """Load the networks.

        Args:
            config: see ``load_profile``.
            parts: networks that are loaded already, made for the same configuration.

        Raises:
            WeightsError: a weight file is missing or does not fit.
            ConfigError: the device cannot be used, or options that contradict each other.
        """
        self.config = config
        self._encoder = EncoderOptions(**section_values(config, [EncoderSection]))
        parts = parts or load_parts(config)
        self.parts = parts if config.used_dnet else dataclasses.replace(parts, dnet=None)

    @classmethod
    def from_profile(cls, profile: str = "auto", **options: object) -> Retalker:
        """Load a profile.

        Args:
            profile: ``official``, ``lite`` or ``auto``.
            options: fields of ``InferenceConfig`` that differ from the profile.

        Raises:
            ConfigError: an unknown profile or option, or a value out of range.
            WeightsError: a weight file is missing or does not fit.
        """
        return cls(load_profile(profile, options))

    def __call__(
        self, face: str | Path, audio_file: str | Path, outfile: str | Path, progress: bool = False
    ) -> DubbingReport:
        """Dub a video.

        Args:
            face: video or still image with the face.
            audio_file: anything with an audio stream; its speech is put into the mouth.
            outfile: where the result goes; it appears only when it is complete.
            progress: show bars on stderr.

        Raises:
            MediaError: a file cannot be read or written.
            FaceNotFoundError: there is no face to edit.
            ConfigError: options that do not fit the files.
        """
        timings = Timings()
        with closing(open_source(Path(face), self.config)) as source:
            # The output and the speech are checked before any work is done.
            VideoWriter(Path(outfile), source.info, self._encoder, AudioTrack(Path(audio_file)))
            speech = self.hear(audio_file)
            scene = look_at(source, self.parts, self.config, timings, progress)
            return self.dub(scene, speech, outfile, progress, timings)

    def prepare(
        self, face: str | Path, progress: bool = False, timings: Timings | None = None
    ) -> Scene:
        """Look at a video once, to dub it any number of times.

        Args:
            face: video or still image with the face.
            progress: show a bar on stderr.
            timings: told how long it took.

        Returns:
            The scene, a context manager that holds the video open.

        Raises:
            MediaError: the file cannot be read.
            FaceNotFoundError: there is no face to edit.
            ConfigError: options that do not fit the file.
        """
        source = open_source(Path(face), self.config)
        try:
            return look_at(source, self.parts, self.config, timings or Timings(), progress)
        except BaseException:
            source.close()
            raise

    def hear(self, audio_file: str | Path) -> Speech:
        """Listen to a speech once, to put it into any number of mouths.

        Raises:
            MediaError: the file cannot be read or has no sound.
        """
        return listen_to(Path(audio_file), self.parts, self.config)

    def plan(self, scene: Scene, speech: str | Path | Speech) -> Dub:
        """Lay a speech over a scene.

        Raises:
            MediaError: the speech cannot be read.
        """
        heard = speech if isinstance(speech, Speech) else self.hear(speech)
        return plan_dub(scene, heard, self.config)

    def render(
        self, dub: Dub, timings: Timings | None = None, kept: FinishedFrames | None = None
    ) -> Generator[RenderedChunk, None, None]:
        """Make the frames of the output, with everything that was known on the way.

        Args:
            dub: of ``plan``.
            timings: told how long each stage took.
            kept: finished chunks of an earlier run of the same job.

        Yields:
            Chunks in the order of the output; close the generator to stop early.
        """
        timings = timings or Timings()
        mouth = make_mouth(dub, self.parts, self.config, timings)
        renderer = Renderer(dub.scene, dub.plan, mouth, timings, kept)
        frames = dub.read(self.config.chunk_size)
        with closing(read_ahead(_timed(frames, timings))) as chunks:
            yield from renderer.render(chunks)

    def frames(
        self, face: str | Path, audio_file: str | Path
    ) -> Iterator[tuple[UInt8Array, float]]:
        """Make the frames of the output without a file.

        Args:
            face: video or still image with the face.
            audio_file: anything with an audio stream.

        Yields:
            RGB uint8 ``[H, W, 3]``, and the second at which it is shown; the speech begins at 0.
        """
        with self.prepare(face) as scene:
            dub = self.plan(scene, audio_file)
            tick_s = float(dub.plan.timeline.time_base)
            for chunk in self.render(dub):
                yield from zip(chunk.output.rgb, (chunk.output.pts * tick_s).tolist(), strict=True)

    def dub(
        self,
        scene: Scene,
        speech: str | Path | Speech,
        outfile: str | Path,
        progress: bool = False,
        timings: Timings | None = None,
    ) -> DubbingReport:
        """Dub a scene.

        Args:
            scene: of ``prepare``.
            speech: anything with an audio stream, or what ``hear`` made of it.
            outfile: where the result goes; it appears only when it is complete.
            progress: show a bar on stderr.
            timings: told how long each stage took.

        Raises:
            MediaError: a file cannot be read or written.
            ConfigError: options that do not fit the files.
        """
        timings, outfile = timings or Timings(), Path(outfile)
        dub = self.plan(scene, speech)
        timeline = dub.plan.timeline
        cache, key = cache_folder(self.config), self._job_key(dub)
        tidy(cache, round(self.config.cache_gb * 1e9), keep=key)
        kept = FinishedFrames(job_folder(cache, key))
        if self.config.re_preprocess:
            kept.clear()
        track = AudioTrack(
            dub.speech.path, duration_s=timeline.duration_s, number=self.config.audio_track
        )
        info = shown_as(scene.source.info, timeline)
        with (
            VideoWriter(
                outfile, info, self._encoder, track, timeline.end_pts, extras_of(scene, timeline)
            ) as writer,
            WriteBehind[FrameChunk](lambda chunk: _write(writer, chunk, timings)) as encoder,
            closing(self.render(dub, timings, kept)) as chunks,
            tqdm(total=len(dub.plan), desc="dubbing", unit="frame", disable=not progress) as bar,
        ):
            for chunk in chunks:
                encoder.put(chunk.output)
                bar.update(len(chunk.output))
        kept.clear()
        edited = int(np.count_nonzero(dub.plan.opacity))
        return DubbingReport(outfile, len(dub.plan), edited, timeline.duration_s, timings)

    def _job_key(self, dub: Dub) -> str:
        """Fingerprint of everything that the output's pixels depend on."""
        files = [dub.scene.source.info.path, dub.speech.path, *self.parts.weight_files]
        return fingerprint([*files, *self.config.pictures()], self.config.pixel_values())


def shown_as(info: VideoInfo, timeline: Timeline) -> VideoInfo:
    """The source's description with the times of the output."""
    rate = timeline.frame_rate
    same = abs(rate / info.frame_rate - 1) < _SAME_RATE
    return dataclasses.replace(
        info,
        time_base=timeline.time_base,
        frame_rate=info.frame_rate if same or info.is_image else rate,
    )


def extras_of(scene: Scene, timeline: Timeline) -> Extras | None:
    """Title, chapters and subtitles that belong to what the output shows of the source."""
    info = scene.source.info
    if info.is_image:
        return None
    last_s = float(scene.analysis.time_s[-1])
    shown_s = last_s + float(1 / info.frame_rate) if last_s else 0.0  # nothing of a single frame
    return read_extras(info.path).until(min(shown_s, timeline.duration_s))


def _timed(chunks: Iterator[FrameChunk], timings: Timings) -> Iterator[FrameChunk]:
    while True:
        with timings.measure("decode", 0):
            chunk = next(chunks, None)
        if chunk is None:
            return
        timings.count("decode", len(chunk))
        yield chunk


def _write(writer: VideoWriter, chunk: FrameChunk, timings: Timings) -> None:
    with timings.measure("encode", len(chunk)):
        writer.write(chunk.rgb, chunk.pts)
