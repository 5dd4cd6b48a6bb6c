"""Parts that are computed from a store that is already there, clip by clip and resumable.

* coefficients: what D-Net reads, from the stored landmarks or, by Deep3DFaceRecon, pictures.
* neutral lips: what L-Net gets as reference in inference, the frames with D-Net's neutral face.
* enhanced lips: sharp faces for E-Net from low-resolution video, by GPEN (paper 4.1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from datasets.prepare.cutting import cut_sizes
from datasets.store.format import (
    LIPS,
    TRACKS,
    StoreInfo,
    encode_jpeg,
    pack_pictures,
    part_path,
    read_store_info,
    write_part,
    write_store_info,
)
from datasets.store.index import refresh_index
from datasets.store.reader import Store, StoredClip
from models.dnet import DNet
from retalking.analysis.first_pass import fit_face3d, points_in_crops
from retalking.coefficients.basis import ExpressionBasis, estimate_coefficients
from retalking.face.affine import (
    GPEN_POINTS_512,
    compose_affine,
    fit_similarity,
    invert_affine,
    transform_points,
)
from retalking.face.crops import (
    LIP_PX,
    STABILISER_PX,
    Pads,
    cut,
    smooth_anchors,
    warp,
)
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import five_points_by_corners
from retalking.media.video import VideoReader
from retalking.mouth.networks.references import References, cut_references
from retalking.mouth.networks.stabiliser import StabilisedVideo, Stabiliser
from retalking.mouth.networks.surroundings import face_region, keep_surroundings, outline_face
from retalking.networks.calls import RESTORED_PX, restore_faces
from retalking.networks.runner import Runner
from retalking.rendering.masks import JAW, inner_square
from retalking.rendering.streaming_filter import smooth_stream
from retalking.shard import Shard
from retalking.timings import Timings
from retalking.types import (
    FaceCoefficients,
    FaceTrack,
    Float64Array,
    FloatArray,
    FrameChunk,
    IntArray,
)
from third_party.face3d import Face3D
from third_party.gpen import GPEN

_CHUNK = 16

Compute = Callable[[StoredClip], dict[str, np.ndarray]]


def extend_store(
    folder: Path,
    part: str,
    compute: Compute,
    needs: str | None = None,
    splits: Collection[str] | None = None,
    shard: Shard = Shard(),  # noqa: B008 - frozen
) -> tuple[int, int]:
    """Add a part to every clip of a store that lacks it, then update the index.

    Args:
        folder: of the store.
        part: name of the part.
        compute: makes its arrays.
        needs: a part that a clip must have for this; others are passed over.
        splits: whose clips get the part; all if not given.
        shard: share of the clips to extend here; several machines may work on one store, and the
            one that ends last indexes what all have made.

    Returns:
        How many clips got the part, and how many were passed over.

    Raises:
        ConfigError: not a store.
        MediaError: a clip is damaged or the part cannot be written.
    """
    info = read_store_info(folder)
    if part not in info.parts:
        write_store_info(folder, StoreInfo(info.settings, (*info.parts, part)))
    store = Store(folder)
    num_added = num_passed = 0
    for row in shard.of(range(len(store))):
        clip = store.clip(row)
        if part_path(folder, part, clip.name).is_file():
            continue
        if splits is not None and store.index["split"][row].decode() not in splits:
            num_passed += 1
            continue
        if needs is not None and not part_path(folder, needs, clip.name).is_file():
            num_passed += 1
            continue
        write_part(folder, part, clip.name, compute(clip))
        num_added += 1
    refresh_index(folder)
    return num_added, num_passed


def stored_track(clip: StoredClip) -> FaceTrack:
    """Return the track of a clip: one shot, a face in every frame."""
    points = clip.array(TRACKS, "landmarks_px")
    frames = len(points)
    return FaceTrack(
        boxes_px=np.zeros((frames, 4), np.float32),
        landmarks_px=points,
        confidence=clip.array(TRACKS, "confidence"),
        detected=np.ones(frames, np.bool_),
        shot_id=np.zeros(frames, np.int64),
        depth_px=clip.array(TRACKS, "depth_px"),
    )


def estimate_lite_coefficients(clip: StoredClip, basis: ExpressionBasis) -> dict[str, np.ndarray]:
    """Estimate coefficients from the landmarks, as the lite profile does."""
    track = stored_track(clip)
    points = points_in_crops(track, clip.array(TRACKS, "stabiliser_crop"))
    return _named(estimate_coefficients(points, track, basis))


def regress_coefficients(clip: StoredClip, face3d: Face3D, runner: Runner) -> dict[str, np.ndarray]:
    """Regress coefficients from the stored 256 px pictures, as the official profile does."""
    track = stored_track(clip)
    crops = clip.array(TRACKS, "stabiliser_crop")
    points = transform_points(crops, track.landmarks_px.astype(np.float64)).astype(np.float32)
    inside = FaceTrack(track.boxes_px, points, track.confidence, track.detected, track.shot_id)
    same = np.tile(np.eye(2, 3), (len(track), 1, 1))
    chunks = _stored_chunks(clip, f"stabiliser_{STABILISER_PX}", len(track))
    return _named(fit_face3d(chunks, inside, same, face3d, runner))


def make_neutral_lips(
    clip: StoredClip,
    size_px: int,
    jpeg_quality: int,
    dnet: DNet,
    template: FloatArray,
    landmarker: Landmarker,
    runner: Runner,
    show_source: bool,
) -> dict[str, np.ndarray]:
    """Make the references of inference: D-Net's neutral face, cut where the source's lips are.

    Args:
        clip: with 256 px stabiliser pictures and coefficients. For a D-Net that moves detail, its
            source video is read again, as inference does.
        size_px: side of the result.
        jpeg_quality: 1..100.
        dnet: trained.
        template: neutral expression ``[64]``.
        landmarker: finds the anchors of the edited face.
        runner: runs D-Net.
        show_source: keep the frame itself around the face, see
            ``retalking/mouth/networks/surroundings.py``.

    Raises:
        MediaError: the source video cannot be read any more.
    """
    track = stored_track(clip)
    video = StabilisedVideo(
        track,
        clip.coefficients(),
        clip.array(TRACKS, "stabiliser_crop"),
        smooth_anchors(track),
        template,
    )
    stabiliser = Stabiliser(dnet, landmarker, video)
    region = None
    if show_source:
        outline = outline_face(clip.landmarks("lip", 0, len(track), size_px)[:, JAW])
        region = face_region(outline, size_px)

    def edit(chunk: FrameChunk) -> tuple[References, Float64Array, IntArray]:
        rows = np.arange(chunk.start, chunk.start + len(chunk))
        references = stabiliser.edit(runner, chunk.rgb, rows, Timings())
        return references, references.drift_px, np.zeros_like(rows)  # all one run

    name, whole = f"{LIPS}_{size_px}", np.eye(2, 3)
    pictures: list[bytes] = []
    for references, drift in smooth_stream(map(edit, _stabiliser_chunks(clip, stabiliser))):
        lips = cut_references(references, drift, Pads(), 0.0)
        sized = np.stack([cut_sizes(n, whole, LIP_PX, (size_px,), LIPS)[name] for n in lips])
        if region is not None:
            rows = range(len(pictures), len(pictures) + len(sized))
            sized = keep_surroundings(sized, clip.pictures(name, rows), region)
        pictures += [encode_jpeg(picture, jpeg_quality) for picture in sized]
    return pack_pictures(pictures)


def enhance_lips(
    clip: StoredClip, jpeg_quality: int, gpen: GPEN, runner: Runner
) -> dict[str, np.ndarray]:
    """Make sharp 384 px lip crops from the source video with a generative prior.

    Raises:
        MediaError: the source video cannot be read any more.
    """
    points = clip.array(TRACKS, "landmarks_px").astype(np.float64)
    lips = clip.array(TRACKS, "lip_crop")
    corners: Float64Array = five_points_by_corners(points)
    to_restored = fit_similarity(corners, GPEN_POINTS_512)
    square = inner_square(RESTORED_PX)
    pictures: list[bytes] = []
    for chunk in _source_chunks(clip):
        rows = range(chunk.start, chunk.start + len(chunk))
        aligned = np.stack(
            [cut(rgb, to_restored[n], RESTORED_PX) for n, rgb in zip(rows, chunk.rgb, strict=True)]
        )
        restored = restore_faces(runner, gpen, aligned)
        for n, rgb, sharp in zip(rows, chunk.rgb, restored, strict=True):
            matrix = compose_affine(lips[n], invert_affine(to_restored[n]))
            share = warp(square, matrix, (LIP_PX, LIP_PX))[..., None]
            plain = cut(rgb, lips[n], LIP_PX)
            detail = warp(sharp, matrix, (LIP_PX, LIP_PX)).astype(np.float32)
            mixed = np.rint(plain + share * (detail - plain)).astype(np.uint8)
            pictures.append(encode_jpeg(mixed, jpeg_quality))
    return pack_pictures(pictures)


def _named(coefficients: FaceCoefficients) -> dict[str, np.ndarray]:
    return dict(vars(coefficients))


def _stored_chunks(clip: StoredClip, part: str, num_frames: int) -> Iterator[FrameChunk]:
    for start in range(0, num_frames, _CHUNK):
        frames = np.arange(start, min(start + _CHUNK, num_frames))
        yield FrameChunk(start, frames, clip.pictures(part, frames))


def _stabiliser_chunks(clip: StoredClip, stabiliser: Stabiliser) -> Iterator[FrameChunk]:
    """What D-Net is given: the stored pictures, or larger ones from the source video."""
    crops, size_px = stabiliser.crops, stabiliser.size_px
    if size_px == STABILISER_PX:
        yield from _stored_chunks(clip, f"stabiliser_{STABILISER_PX}", len(crops))
        return
    for chunk in _source_chunks(clip):
        faces = [cut(rgb, crops[chunk.start + row], size_px) for row, rgb in enumerate(chunk.rgb)]
        yield FrameChunk(chunk.start, chunk.pts, np.stack(faces))


def _source_chunks(clip: StoredClip) -> Iterator[FrameChunk]:
    """Frames of the source video that the clip shows, in order; some may be shown twice."""
    wanted = clip.array(TRACKS, "source_frame")
    done = 0
    with VideoReader(Path(clip.notes()["media"])) as reader:
        for chunk in reader.read_chunks(_CHUNK):
            stop = int(np.searchsorted(wanted, chunk.start + len(chunk)))
            if stop > done:
                rows = wanted[done:stop] - chunk.start
                yield FrameChunk(done, chunk.pts[rows], chunk.rgb[rows])
                done = stop
            if done == len(wanted):
                return
