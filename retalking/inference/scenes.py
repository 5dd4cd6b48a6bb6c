"""Opening a video and looking at it: the first pass, from the cache where it has been done."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from retalking.analysis.cache import AnalysisCache, default_cache_folder, fingerprint
from retalking.analysis.first_pass import analyse_video, describe_person, follow_faces
from retalking.coefficients.basis import ExpressionBasis
from retalking.coefficients.windows import parse_expression
from retalking.face.crops import Pads
from retalking.face.detection import FixedBox
from retalking.face.likeness import likeness_to
from retalking.face.tracking import FaceChoice
from retalking.inference.config import InferenceConfig
from retalking.media.given import Given, as_file
from retalking.media.images import load_image
from retalking.media.memory import return_large_arrays
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.networks.load import Parts
from retalking.progress import TRACKING, Watch
from retalking.rendering.scene import Scene
from retalking.rendering.timeline import nearest_frame_rate
from retalking.timings import Timings
from retalking.types import FaceTracks, FloatArray

logger = logging.getLogger(__name__)


def open_source(face: Given, config: InferenceConfig) -> Source:
    """Open the part of a video, or a still image, that a configuration asks for.

    Args:
        face: see ``Given``.
        config: which part.

    Raises:
        MediaError: the file cannot be read.
        ConfigError: the region is not within the video.
    """
    file = as_file(face)
    reader = VideoReader(file.path, nearest_frame_rate(config.fps))
    return_large_arrays(reader.info)
    return Source(
        reader,
        crop=config.crop,
        max_frames=1 if config.static else None,
        max_seconds=config.max_seconds,
        rotate_deg=config.rotate,
        owner=file.folder,
    )


def look_at(
    source: Source, parts: Parts, config: InferenceConfig, timings: Timings, watch: Watch
) -> Scene:
    """Find the face to edit, and place it; see ``look_at_people``."""
    return next(look_at_people(source, parts, [config], timings, watch))


def look_at_people(
    source: Source,
    parts: Parts,
    configs: Sequence[InferenceConfig],
    timings: Timings,
    watch: Watch,
) -> Iterator[Scene]:
    """Find several people in one pass over a video, or in the cache of earlier jobs.

    Args:
        source: the video.
        parts: networks of the face analysis.
        configs: whose face, and where; they differ in nothing else.
        timings: told how long it took, unless an earlier job has done it.
        watch: told of every chunk, unless an earlier job has done it.

    Yields:
        The scene of each.

    Raises:
        MediaError: the video or the picture of a person cannot be read.
        FaceNotFoundError: there is no such face.
    """
    watch.expect(TRACKING, 0)
    tracks: FaceTracks | None = None
    for config in configs:
        placed = _with_fixed_box(parts, config)
        choice, key = _wish(source, parts, config)
        cache = AnalysisCache(cache_folder(config))
        analysis = None if config.re_preprocess else cache.load(key, source.info)
        if analysis is not None:
            logger.info("%s: using the face analysis of an earlier job", source.info.path)
        else:
            size = config.chunk_size
            if tracks is None:
                tracks = follow_faces(source, placed, config, size, timings, watch)
            analysis = describe_person(source, tracks, placed, config, choice, size, timings)
            cache.save(key, analysis)
        pads = Pads(*config.pads)
        yield Scene.place(source, analysis, pads, smooth=not config.nosmooth)


def cache_folder(config: InferenceConfig) -> Path:
    """Return where a job keeps what the next one may use."""
    return config.tmp_dir or default_cache_folder()


def wanted_expression(parts: Parts, config: InferenceConfig) -> FloatArray:
    """Return the expression ``[64]`` of a template, of a mix of two, or of a picture.

    Raises:
        ConfigError: an unknown template.
        MediaError: the picture cannot be read.
        FaceNotFoundError: it shows no face.
    """
    picture = config.expression_picture()
    if picture is None:
        return parse_expression(config.exp_img).resolve(parts.templates)
    if config.mouth == "warp" and parts.expression_basis is None:
        parts = dataclasses.replace(
            parts, face3d=None, expression_basis=ExpressionBasis.from_file()
        )
    with VideoReader(picture) as reader:
        analysis = analyse_video(Source(reader, max_frames=1), parts, config, None, 1, Timings())
    expression: FloatArray = analysis.coefficients.expression[0]
    return expression


def _with_fixed_box(parts: Parts, config: InferenceConfig) -> Parts:
    if min(config.box) < 0:
        return parts
    top, bottom, left, right = config.box
    return dataclasses.replace(parts, detector=FixedBox((left, top, right, bottom)))


def _wish(source: Source, parts: Parts, config: InferenceConfig) -> tuple[FaceChoice, str]:
    """Whose face is wanted, and the fingerprint of the first pass over it."""
    likeness = None
    files = [source.info.path, *parts.analysis_files]
    if config.face_image is not None:
        photograph = load_image(config.face_image)
        likeness = likeness_to(photograph, parts.detector, parts.landmarker)
        files.append(config.face_image)
    choice = FaceChoice(config.face_index, config.face_box, likeness)
    return choice, fingerprint(files, config.analysis_values())
