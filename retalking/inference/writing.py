"""The frames of a dub into a file, with the speech and what else belongs to the video."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from retalking.inference.config import InferenceConfig
from retalking.media.memory import waiting_chunks
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.extras import Extras, read_extras
from retalking.media.output.video_writer import VideoWriter
from retalking.media.prefetch import WriteBehind
from retalking.media.sound.audio_track import AudioTrack
from retalking.networks.load import Parts
from retalking.progress import DUBBING, Watch
from retalking.rendering.scene import Scene
from retalking.rendering.timeline import Timeline
from retalking.review.review import Review
from retalking.timings import Timings
from retalking.trust.manifest.seal import JobFacts, Seal, find_signer
from retalking.trust.marking import marks_sound, sound_mark
from retalking.types import FrameChunk, VideoInfo

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
        reviews: what is seen in the file, of each person who speaks, if that was asked for.
    """

    outfile: Path
    num_frames: int
    num_edited: int
    duration_s: float
    timings: Timings
    reviews: tuple[Review, ...] = ()

    @property
    def review(self) -> Review | None:
        """The review of the first person."""
        return self.reviews[0] if self.reviews else None


def write_video(
    chunks: Generator[FrameChunk, None, None],
    scene: Scene,
    timeline: Timeline,
    outfile: Path,
    encoder: EncoderOptions,
    track: AudioTrack,
    watch: Watch,
    timings: Timings,
    seal: Seal,
) -> None:
    """Encode the frames of an output while they are made.

    Args:
        chunks: all frames in order; closed at the end.
        scene: the video that they are made of.
        timeline: of the output.
        outfile: where the result goes; it appears only when it is complete.
        encoder: how it is compressed.
        track: what is heard.
        watch: told of every chunk.
        timings: told how long it took.
        seal: what the file says of itself.

    Raises:
        MediaError: a file cannot be read or written.
        ConfigError: options that do not fit the files.
        CancelledError: the watch said so.
    """
    info = shown_as(scene.source.info, timeline)
    extras = labelled(extras_of(scene, timeline) or Extras(), seal.comment)
    with (
        VideoWriter(outfile, info, encoder, track, timeline.end_pts, extras, seal.apply) as writer,
        WriteBehind[FrameChunk](
            lambda chunk: _write(writer, chunk, timings), waiting_chunks(info)
        ) as behind,
        closing(chunks),
    ):
        watch.begin(DUBBING, len(timeline))
        for chunk in chunks:
            behind.put(chunk)
            watch.advance(DUBBING, len(chunk))


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


def seal_of(config: InferenceConfig, parts: Parts, scene: Scene, speech: Sequence[Path]) -> Seal:
    """Return what the output will say of its making.

    Raises:
        ConfigError: the user's certificate cannot be used.
    """
    facts = JobFacts(
        scene.source.info.path,
        tuple(speech),
        parts.weight_files,
        config.model_dump(),
        config.watermark_payload if config.watermark == "on" else None,
        sound_marked=marks_sound(config, config),
    )
    return Seal(facts, find_signer(config), must_sign=config.certificate is not None)


def track_of(
    config: InferenceConfig, path: Path, duration_s: float, number: int | None = None
) -> AudioTrack:
    """Return what is heard: of a file, from its beginning on, with or without a mark."""
    return AudioTrack(path, duration_s=duration_s, number=number, mark=sound_mark(config, config))


def labelled(extras: Extras, comment: str) -> Extras:
    """Put a comment before the one that the source has."""
    before = extras.tags.get("comment", "")
    if before.startswith(comment):
        return extras
    text = f"{comment}. {before}" if before else comment
    return dataclasses.replace(extras, tags=extras.tags | {"comment": text})


def _write(writer: VideoWriter, chunk: FrameChunk, timings: Timings) -> None:
    with timings.measure("encode", len(chunk)):
        writer.write(chunk.rgb, chunk.pts)
