"""The whole job: a face video and a speech in, the dubbed video out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from retalking.analysis.cache import AnalysisCache, default_cache_folder, fingerprint
from retalking.analysis.first_pass import AnalysisOptions, analyse_video
from retalking.cache_folder import job_folder, tidy
from retalking.coefficients.windows import crop_scale_ratio, parse_expression
from retalking.face.crops import Pads, lip_anchors, smooth_anchors
from retalking.face.detection import FixedBox
from retalking.face.likeness import likeness_to
from retalking.face.tracking import FaceChoice
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile
from retalking.media import audio
from retalking.media.audio_track import AudioTrack
from retalking.media.encoding import EncoderOptions
from retalking.media.hearing import hear
from retalking.media.images import load_image
from retalking.media.mel import MelSpectrogram
from retalking.media.prefetch import WriteBehind, read_ahead
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.media.video_writer import VideoWriter
from retalking.mouth.networks.reference_choice import find_references
from retalking.networks.load import Parts, load_parts
from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.finished_frames import FinishedFrames
from retalking.rendering.renderer import Renderer, RenderOptions
from retalking.rendering.timeline import Timeline, build_timeline, nearest_frame_rate
from retalking.timings import Timings
from retalking.types import FloatArray, FrameChunk, VideoAnalysis, VideoInfo

logger = logging.getLogger(__name__)

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

    Example:
        ``Retalker.from_profile("lite")("talk.mp4", "speech.wav", "out.mp4")``
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
        self._config = config
        self._encoder = EncoderOptions(config.codec, config.crf, config.preset)
        parts = parts or load_parts(config)
        self._parts = parts if config.used_dnet else dataclasses.replace(parts, dnet=None)

    @classmethod
    def from_profile(cls, profile: str = "auto", **options: object) -> Retalker:
        """Load a profile.

        Args:
            profile: ``official``, ``lite``, ``small`` or ``auto``.
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
        face, audio_file, outfile = Path(face), Path(audio_file), Path(outfile)
        config, timings = self._config, Timings()
        rate = nearest_frame_rate(config.fps)
        with VideoReader(face, rate) as reader:
            source = Source(
                reader,
                crop=config.crop,
                max_frames=1 if config.static else None,
                max_seconds=config.max_seconds,
            )
            # The output is checked before any work is done.
            VideoWriter(outfile, source.info, self._encoder, AudioTrack(audio_file))
            clip = audio.load(audio_file, track=config.audio_track, max_seconds=self._last_heard_s)
            mel = hear(clip, config.silence_gate)
            duration_s = min(clip.duration_s, config.max_seconds or float("inf"))
            del clip  # 230 MB per hour
            analysis = self._analyse(source, timings, progress)
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
            self._render(source, analysis, plan, mel, audio_file, outfile, timings, progress)
        edited = int(np.count_nonzero(plan.opacity))
        return DubbingReport(outfile, len(plan), edited, timeline.duration_s, timings)

    def _analyse(self, source: Source, timings: Timings, progress: bool) -> VideoAnalysis:
        """First pass, from the cache where it has been done before."""
        config, path, parts = self._config, source.info.path, self._parts
        likeness = None
        if config.face_image is not None:
            photograph = load_image(config.face_image)
            likeness = likeness_to(photograph, parts.detector, parts.landmarker)
        if min(config.box) >= 0:
            top, bottom, left, right = config.box
            detector = FixedBox((left, top, right, bottom))
            parts = dataclasses.replace(parts, detector=detector)
        choice = FaceChoice(config.face_index, config.face_box, likeness)
        options = AnalysisOptions(
            choice, config.on_missing_face, config.max_gap_s, config.max_yaw_deg
        )
        cache = AnalysisCache(self._cache_folder())
        files = [path, *parts.analysis_files]
        if config.face_image is not None:
            files.append(config.face_image)
        key = fingerprint(files, config.analysis_values())
        found = None if config.re_preprocess else cache.load(key, source.info)
        if found is not None:
            logger.info("%s: using the face analysis of an earlier job", path)
            return found
        analysis = analyse_video(source, parts, options, config.chunk_size, timings, progress)
        cache.save(key, analysis)
        return analysis

    def _render(
        self,
        source: Source,
        analysis: VideoAnalysis,
        plan: EditPlan,
        mel: MelSpectrogram,
        audio_file: Path,
        outfile: Path,
        timings: Timings,
        progress: bool,
    ) -> None:
        config, options = self._config, self._render_options(source, analysis)
        key = self._job_key(source, audio_file)
        tidy(self._cache_folder(), round(config.cache_gb * 1e9), keep=key)
        kept = FinishedFrames(job_folder(self._cache_folder(), key))
        if config.re_preprocess:
            kept.clear()
        renderer = Renderer(self._parts, analysis, plan, mel, options, timings, kept)
        timeline = plan.timeline
        track = AudioTrack(audio_file, duration_s=timeline.duration_s, number=config.audio_track)
        frames = source.read_frames(timeline.source_index, analysis.pts, config.chunk_size)
        info = shown_as(source.info, timeline)
        with (
            VideoWriter(outfile, info, self._encoder, track, timeline.end_pts) as writer,
            WriteBehind[FrameChunk](lambda chunk: _write(writer, chunk, timings)) as encoder,
            closing(read_ahead(_timed(frames, timings))) as chunks,
            tqdm(total=len(plan), desc="dubbing", unit="frame", disable=not progress) as bar,
        ):
            for chunk in renderer.render(chunks):
                encoder.put(chunk)
                bar.update(len(chunk))
        kept.clear()

    @property
    def _last_heard_s(self) -> float | None:
        """Until where the sound matters to a job that stops early."""
        if self._config.max_seconds is None:
            return None
        return self._config.max_seconds + abs(self._config.sync_offset_ms) / 1000 + 1

    def _cache_folder(self) -> Path:
        return self._config.tmp_dir or default_cache_folder()

    def _job_key(self, source: Source, audio_file: Path) -> str:
        """Fingerprint of everything that the output's pixels depend on."""
        files = [source.info.path, audio_file, *self._parts.weight_files]
        files += [path for path in self._config.pictures() if path.is_file()]
        return fingerprint(files, self._config.pixel_values())

    def _render_options(self, source: Source, analysis: VideoAnalysis) -> RenderOptions:
        config, track = self._config, analysis.track
        anchors = lip_anchors(track.landmarks_px) if config.nosmooth else smooth_anchors(track)
        dnet, chosen, scale_ratio = self._parts.dnet, config.references_from, 1.0
        if dnet is None and (chosen == "first" or config.exp_img != "neutral"):
            logger.warning("--exp-img and --one-shot have no effect without D-Net (dnet: null)")
        if dnet is not None and chosen == "first":
            everyone = analysis.coefficients.rows(track.detected)
            scale_ratio = crop_scale_ratio(everyone.rows(slice(0, 1)), everyone)
        pads = Pads(*config.pads)
        # Other references are not where the face is in the frame, and nor are their surroundings.
        in_place = chosen == "warped" or (dnet is not None and chosen != "first")
        return RenderOptions(
            template=self._expression(),
            anchors_px=anchors,
            pads=pads,
            up_face=config.up_face,
            whole_face=config.without_rl1,
            reference_strength=config.reference_enhancer_strength,
            keep_surroundings=in_place and config.reference_surroundings == "source",
            restorer_strength=config.restorer_strength,
            references=find_references(chosen, source, analysis, anchors, dnet, pads),
            scale_ratio=scale_ratio,
        )

    def _expression(self) -> FloatArray:
        """The expression that every frame gets: of a template, a mix of two, or a picture."""
        text = self._config.exp_img
        if not Path(text).is_file():
            return parse_expression(text).resolve(self._parts.templates)
        with VideoReader(Path(text)) as reader:
            analysis = analyse_video(
                Source(reader, max_frames=1), self._parts, AnalysisOptions(), 1, Timings()
            )
        expression: FloatArray = analysis.coefficients.expression[0]
        return expression


def shown_as(info: VideoInfo, timeline: Timeline) -> VideoInfo:
    """The source's description with the times of the output."""
    rate = timeline.frame_rate
    same = abs(rate / info.frame_rate - 1) < _SAME_RATE
    return dataclasses.replace(
        info,
        time_base=timeline.time_base,
        frame_rate=info.frame_rate if same or info.is_image else rate,
    )


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
