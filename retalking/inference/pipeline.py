"""The whole job: a face video and a speech in, the dubbed video out."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from retalking.cache_folder import tidy
from retalking.config import section_values
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import Dub, Speech, find_person, listen_to, plan_dub, review_dub
from retalking.inference.live import live_frames
from retalking.inference.profiles import load_profile
from retalking.inference.scenes import cache_folder, look_at, open_source
from retalking.inference.second_pass import kept_frames, outputs_of, render_dub
from retalking.inference.writing import DubbingReport, seal_of, track_of, write_video
from retalking.media.given import Given, LiveSound, as_file
from retalking.media.options import EncoderSection
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio_track import AudioTrack
from retalking.networks.load import Parts, load_parts
from retalking.progress import DUBBING, REVIEWING, Watched, Wish, watching
from retalking.rendering.finished_frames import FinishedFrames
from retalking.rendering.parts import Part
from retalking.rendering.renderer import RenderedChunk
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.trust.manifest.seal import find_signer
from retalking.types import UInt8Array


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
            ConfigError: the device or the speaker cannot be used, or options that contradict each
                other.
        """
        self.config = config
        find_person(config)  # a fault is told before networks are loaded
        config.read_watermark_key()
        find_signer(config)
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
        self,
        face: Given,
        audio_file: Given,
        outfile: str | Path,
        progress: Watched = False,
        cancel: Wish | None = None,
        review: bool = False,
    ) -> DubbingReport:
        """Dub a video.

        Args:
            face: video or still image with the face; a path, or what else ``Given`` names.
            audio_file: anything with an audio stream, likewise; what is said in it.
            outfile: where the result goes; it appears only when it is complete.
            progress: ``True`` shows a bar on stderr; a function is told how far the job is.
            cancel: asked after every chunk of frames; ``True`` ends the job.
            review: look at the result afterwards, see ``DubbingReport.review``.

        Raises:
            MediaError: a file cannot be read or written.
            FaceNotFoundError: there is no face to edit.
            ConfigError: options that do not fit the files.
            CancelledError: ``cancel`` said so; no output is written, unless it is being reviewed.
        """
        timings = Timings()
        with (
            watching(progress, cancel) as watch,
            closing(open_source(face, self.config)) as source,
        ):
            # The output and the speech are checked before any work is done.
            spoken = as_file(audio_file)
            VideoWriter(Path(outfile), source.info, self._encoder, AudioTrack(spoken.path))
            speech = dataclasses.replace(self.hear(spoken.path), owner=spoken.folder)
            watch.expect(DUBBING, round(speech.duration_s * source.info.frame_rate))
            if review:
                watch.expect(REVIEWING, round(speech.duration_s * source.info.frame_rate))
            scene = look_at(source, self.parts, self.config, timings, watch)
            dub = self.plan(scene, speech)
            report = self.write(dub, outfile, watch, timings)
            if not review:
                return report
            seen = review_dub(dub, Path(outfile), self.parts, self.config, watch, timings)
            return dataclasses.replace(report, reviews=(seen,))

    def prepare(
        self,
        face: Given,
        progress: Watched = False,
        timings: Timings | None = None,
        cancel: Wish | None = None,
    ) -> Scene:
        """Look at a video once, to dub it any number of times.

        Args:
            face: video or still image with the face.
            progress: as for ``__call__``.
            timings: told how long it took.
            cancel: as for ``__call__``.

        Returns:
            The scene, a context manager that holds the video open.

        Raises:
            MediaError: the file cannot be read.
            FaceNotFoundError: there is no face to edit.
            ConfigError: options that do not fit the file.
        """
        source = open_source(face, self.config)
        try:
            with watching(progress, cancel) as watch:
                return look_at(source, self.parts, self.config, timings or Timings(), watch)
        except BaseException:
            source.close()
            raise

    def hear(self, audio_file: Given) -> Speech:
        """Listen to a speech once, to put it into any number of mouths.

        Raises:
            MediaError: the file cannot be read or has no sound.
        """
        return listen_to(audio_file, self.parts, self.config)

    def plan(self, scene: Scene, speech: Given | Speech) -> Dub:
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
        yield from render_dub(dub, self.parts, self.config, timings or Timings(), kept)

    def render_part(self, dub: Dub, part: Part) -> None:
        """Make the frames of one part of a dub, and keep them where ``write`` finds them.

        Args:
            dub: of ``share_out``.
            part: one of its parts.
        """
        kept = kept_frames(dub, self.parts, self.config, only=part)
        for _ in render_dub(dub, self.parts, self.config, Timings(), kept, only=part):
            pass

    def frames(
        self, face: Given | Scene, audio_file: Given | LiveSound
    ) -> Iterator[tuple[UInt8Array, float]]:
        """Make the frames of the output without a file.

        Args:
            face: video or still image with the face, or a scene of ``prepare``.
            audio_file: anything with an audio stream; or ``LiveSound``, speech that is still being
                spoken, with ``mouth: warp``. In blocks of 0.2 s, it is 0.5 s ahead of the frames at
                most.

        Yields:
            RGB uint8 ``[H, W, 3]``, and the second at which it is shown; the speech begins at 0.
        """
        with nullcontext(face) if isinstance(face, Scene) else self.prepare(face) as scene:
            if isinstance(audio_file, LiveSound):
                yield from live_frames(scene, audio_file, self.parts, self.config)
                return
            dub = self.plan(scene, audio_file)
            tick_s = float(dub.plan.timeline.time_base)
            for chunk in self.render(dub):
                yield from zip(chunk.output.rgb, (chunk.output.pts * tick_s).tolist(), strict=True)

    def dub(
        self,
        scene: Scene,
        speech: Given | Speech,
        outfile: str | Path,
        progress: Watched = False,
        timings: Timings | None = None,
        cancel: Wish | None = None,
    ) -> DubbingReport:
        """Dub a scene.

        Args:
            scene: of ``prepare``.
            speech: anything with an audio stream, or what ``hear`` made of it.
            outfile: where the result goes; it appears only when it is complete.
            progress: as for ``__call__``.
            timings: told how long each stage took.
            cancel: as for ``__call__``.

        Raises:
            MediaError: a file cannot be read or written.
            ConfigError: options that do not fit the files.
        """
        return self.write(self.plan(scene, speech), outfile, progress, timings, cancel)

    def write(
        self,
        dub: Dub,
        outfile: str | Path,
        progress: Watched = False,
        timings: Timings | None = None,
        cancel: Wish | None = None,
    ) -> DubbingReport:
        """Make a planned dub; frames that an interrupted job has finished are taken from it.

        Args:
            dub: of ``plan``.
            outfile: where the result goes; it appears only when it is complete.
            progress: as for ``__call__``.
            timings: told how long each stage took.
            cancel: as for ``__call__``.

        Raises:
            MediaError: a file cannot be read or written.
            ConfigError: options that do not fit the files.
        """
        timings, outfile = timings or Timings(), Path(outfile)
        scene, timeline = dub.scene, dub.plan.timeline
        kept = kept_frames(dub, self.parts, self.config)
        limit_bytes = round(self.config.cache_gb * 1e9)
        tidy(cache_folder(self.config), limit_bytes, keep=kept.folder.name)
        number = self.config.audio_track
        track = track_of(self.config, dub.speech.path, timeline.duration_s, number)
        seal = seal_of(self.config, self.parts, scene, [dub.speech.path])
        with watching(progress, cancel) as watch:
            write_video(
                outputs_of(self.render(dub, timings, kept)),
                scene,
                timeline,
                outfile,
                self._encoder,
                track,
                watch,
                timings,
                seal,
            )
        kept.clear()
        edited = int(np.count_nonzero(dub.plan.opacity))
        return DubbingReport(outfile, len(dub.plan), edited, timeline.duration_s, timings)
