"""First pass: everything that needs a view of the whole video, reduced to numbers per frame.

What it keeps is a few kilobytes per frame: where the face is, its landmarks and its 3DMM
coefficients. ``F`` counts the frames of the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from itertools import islice

import numpy as np
import torch

from retalking.analysis.missing_faces import apply_missing_policy, drop_profiles
from retalking.analysis.options import AnalysisSection
from retalking.analysis.turned import find_turn
from retalking.arrays import scratch
from retalking.coefficients.basis import estimate_coefficients
from retalking.coefficients.recon import crop_for_recon, fit_recon_crop
from retalking.errors import FaceNotFoundError, MediaError
from retalking.face.affine import transform_points
from retalking.face.crops import STABILISER_PX, cut, stabiliser_crops
from retalking.face.detection import FixedBox
from retalking.face.follower import TrackingSettings
from retalking.face.landmarks import NearSighted
from retalking.face.picture import PictureChunk, thinning
from retalking.face.tracking import FaceChoice, select_track, track_faces
from retalking.media.images import to_tensor
from retalking.media.memory import waiting_chunks
from retalking.media.prefetch import read_ahead
from retalking.media.source import Source
from retalking.networks.load import Parts
from retalking.networks.runner import Runner
from retalking.progress import TRACKING, Watch
from retalking.timings import Timings
from retalking.types import (
    FaceCoefficients,
    FaceTrack,
    FaceTracks,
    Float64Array,
    FrameChunk,
    VideoAnalysis,
)
from third_party.face3d import Face3D, MorphableCoefficients

_LOOKED_AT_TURNED, _STEP_TURNED = 13, 12
"""Frames at the start of a video without a face that are looked at on their side."""


def analyse_video(
    source: Source,
    parts: Parts,
    options: AnalysisSection,
    choice: FaceChoice | None,
    chunk_size: int,
    timings: Timings,
    watch: Watch | None = None,
) -> VideoAnalysis:
    """Track the face of a video and fit its coefficients; see the next two functions."""
    tracks = follow_faces(source, parts, options, chunk_size, timings, watch or Watch())
    return describe_person(source, tracks, parts, options, choice, chunk_size, timings)


def follow_faces(
    source: Source,
    parts: Parts,
    options: AnalysisSection,
    chunk_size: int,
    timings: Timings,
    watch: Watch,
) -> FaceTracks:
    """Follow everyone through a video, which is decoded once.

    Args:
        source: the video.
        parts: detector and landmark finder are used.
        options: how long a face may be unseen.
        chunk_size: frames held at a time; does not change the result.
        timings: told how long it took.
        watch: told of every chunk.

    Raises:
        MediaError: the video has no frame.
        CancelledError: the watch said so.
    """
    watch.begin(TRACKING, source.info.num_frames)
    read: Iterator[FrameChunk | PictureChunk] = source.read_all(chunk_size)
    if isinstance(parts.landmarker, NearSighted):
        every = thinning(source.info.height_px, source.info.width_px)
        read = source.read_pictures(chunk_size, every)
    ahead = read_ahead(read, waiting_chunks(source.info))
    with timings.measure(TRACKING, 0), closing(ahead) as chunks:
        tracks = track_faces(
            _counting(chunks, watch),
            parts.detector,
            parts.landmarker,
            float(source.info.frame_rate),
            TrackingSettings(max_gap_s=options.max_gap_s),
        )
    timings.count(TRACKING, len(tracks))
    if not len(tracks):
        raise MediaError(f"{source.info.path}: no frame of its video can be decoded")
    return tracks


def describe_person(
    source: Source,
    tracks: FaceTracks,
    parts: Parts,
    options: AnalysisSection,
    choice: FaceChoice | None,
    chunk_size: int,
    timings: Timings,
) -> VideoAnalysis:
    """Fit the coefficients of one of the people in a video.

    Args:
        source: the video; decoded once more where coefficients come from pixels.
        tracks: everyone in it.
        parts: the coefficient estimator is used.
        options: when the face counts as missing, and what happens then.
        choice: which person; the most prominent one if ``None``.
        chunk_size: frames held at a time; does not change the result.
        timings: told how long it took.

    Raises:
        FaceNotFoundError: the face is nowhere, or missing somewhere under the policy ``error``.
    """
    pts = tracks.pts
    try:
        track = select_track(tracks, choice)
    except FaceNotFoundError as error:
        turn = "" if tracks.segments else _advise_turn(source, parts)
        raise FaceNotFoundError(f"{source.info.path}: {error}{turn}") from error
    crops = stabiliser_crops(track, float(source.info.frame_rate))
    with timings.measure("coefficients", len(pts)):
        if parts.face3d is not None:
            with _decoded_ahead(source, chunk_size) as chunks:
                coefficients = fit_face3d(chunks, track, crops, parts.face3d, parts.runner)
        else:
            assert parts.expression_basis is not None
            coefficients = estimate_coefficients(
                points_in_crops(track, crops), track, parts.expression_basis
            )
    track = drop_profiles(track, coefficients, options.max_yaw_deg)
    analysis = VideoAnalysis(source.info, pts, track, crops, coefficients)
    return apply_missing_policy(analysis, options.on_missing_face)


def fit_face3d(
    chunks: Iterable[FrameChunk],
    track: FaceTrack,
    crops: Float64Array,
    face3d: Face3D,
    runner: Runner,
) -> FaceCoefficients:
    """Regress 3DMM coefficients from the pixels with Deep3DFaceRecon, as upstream does.

    Args:
        chunks: the frames of the video.
        track: of the face.
        crops: float64 ``[F, 2, 3]``, frame to stabiliser crop.
        face3d: the regressor.
        runner: runs it.

    Returns:
        Coefficients; zero in frames without a face.
    """
    landmarks = transform_points(crops, track.landmarks_px.astype(np.float64))
    recon_crops = fit_recon_crop(landmarks, STABILISER_PX)
    rows = np.zeros((len(track), 257), dtype=np.float32)
    for chunk in chunks:
        numbers = chunk.start + np.flatnonzero(
            track.detected[chunk.start : chunk.start + len(chunk)]
        )
        if len(numbers) == 0:
            continue
        faces = [
            crop_for_recon(
                cut(chunk.rgb[number - chunk.start], crops[number], STABILISER_PX),
                recon_crops[number],
            )
            for number in numbers
        ]
        rows[numbers] = runner(face3d, to_tensor(np.stack(faces)), numbers=numbers).numpy()
    fitted = MorphableCoefficients.split(torch.from_numpy(rows))
    return FaceCoefficients(
        expression=fitted.expression.numpy(),
        angle=fitted.angle.numpy(),
        translation=fitted.translation.numpy(),
        crop=recon_crops.astype(np.float32),
    )


def _decoded_ahead(source: Source, chunk_size: int) -> AbstractContextManager[Iterator[FrameChunk]]:
    return closing(read_ahead(source.read_all(chunk_size), waiting_chunks(source.info)))


def _advise_turn(source: Source, parts: Parts) -> str:
    """Look whether the faces of a video without one lie on their side, and say what helps."""
    if isinstance(parts.detector, FixedBox):
        return ""
    for chunk in islice(source.read_all(1), 0, _LOOKED_AT_TURNED, _STEP_TURNED):
        clockwise_deg = find_turn(chunk.rgb[0], parts.detector, parts.landmarker)
        if clockwise_deg is not None:
            return (
                f". Turned by {clockwise_deg} degrees clockwise, frame {chunk.start} shows one: "
                f"add --rotate {clockwise_deg}"
            )
    return "; turning the first frames does not help"


def _counting(
    chunks: Iterable[FrameChunk | PictureChunk], watch: Watch
) -> Iterator[FrameChunk | PictureChunk]:
    for chunk in chunks:
        yield chunk
        watch.advance(TRACKING, len(chunk.pts))


def points_in_crops(track: FaceTrack, crops: Float64Array) -> Float64Array:
    """Landmarks with depth ``[F, 68, 3]`` in pixels of the stabiliser crops."""
    points = scratch.zeros((len(track), 68, 3), np.float64)
    for rows in scratch.blocks(len(track)):
        flat = track.landmarks_px[rows].astype(np.float64)
        points[rows, :, :2] = transform_points(crops[rows], flat)
        if track.depth_px is not None:
            points[rows, :, 2] = track.depth_px[rows] * crops[rows, 0, 0][:, None]
    return points
