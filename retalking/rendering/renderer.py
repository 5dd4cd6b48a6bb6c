"""Second pass: the networks on the pixels, chunk by chunk (paper, figure 3).

Chunks are a matter of memory only. What looks at neighbouring frames reads numbers of the first
pass or goes through ``smooth_stream``, and networks run in batches of one fixed size, so the output
is the same for every chunk size. ``A`` counts the frames of a chunk that show a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.blocks.lower_half import EDITED_FROM
from retalking.coefficients.windows import coefficient_windows
from retalking.face.affine import (
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
    enlarge_crops,
    lip_crops,
    warp,
)
from retalking.ibug68 import five_points_by_corners
from retalking.media.mel import MelSpectrogram
from retalking.mouth.networks.reference_frames import ReferenceFrames, enlargement
from retalking.mouth.networks.references import (
    References,
    cut_references,
    locate_references,
    restore_references,
    template_of,
)
from retalking.mouth.networks.surroundings import Surroundings
from retalking.mouth.networks.warped_references import WarpedReferences
from retalking.networks.calls import (
    RESTORED_PX,
    change_upper_face,
    edit_expression,
    parse_faces,
    restore_faces,
    synthesise_lips,
)
from retalking.networks.load import Parts
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.finished_frames import FinishedChunk, FinishedFrames
from retalking.rendering.masks import (
    FACE_PARTS,
    MOUTH_PARTS,
    edited_band,
    lower_face_mask,
    mouth_mask,
    part_mask,
)
from retalking.rendering.paste_back import Layer, composite, paste
from retalking.rendering.streaming_filter import smooth_stream
from retalking.timings import Timings
from retalking.types import (
    Float64Array,
    FloatArray,
    FrameChunk,
    IntArray,
    UInt8Array,
    VideoAnalysis,
)

Emotion = Literal["original", "sad", "angry", "surprise"]


@dataclass(frozen=True)
class RenderOptions:
    """What the face does, and how much each restorer adds.

    Attributes:
        template: expression ``[64]`` for every frame.
        anchors_px: float64 ``[F, 3, 2]``, eyes and nose in each frame of the source.
        pads: room around the face in the lip crop.
        up_face: emotion of the upper face.
        whole_face: take the upper face from E-Net too.
        reference_strength: of the reference enhancer, 0..1.
        restorer_strength: of the mouth restorer, 0..1.
        references: what D-Net edits in place of the frame itself, and the references of a job
            without D-Net.
        scale_ratio: factor of the crop scale, see ``crop_scale_ratio``.
        keep_surroundings: whether D-Net's references show the frame itself around the face.
    """

    template: FloatArray
    anchors_px: Float64Array
    pads: Pads
    up_face: Emotion = "original"
    whole_face: bool = False
    reference_strength: float = 1.0
    restorer_strength: float = 1.0
    references: ReferenceFrames | WarpedReferences | None = None
    scale_ratio: float = 1.0
    keep_surroundings: bool = False


@dataclass(frozen=True)
class _Prepared:
    """A chunk with its references.

    Attributes:
        chunk: the source frames.
        rows: int64 ``[A]``, which of them show a face.
        source: int64 ``[A]``, their indices in the source.
        references: of these frames; ``None`` if there are none, or nothing is left to do.
        finished: the result, if an earlier job got as far as this.
    """

    chunk: FrameChunk
    rows: IntArray
    source: IntArray
    references: References | None
    finished: FinishedChunk | None = None


class Renderer:
    """Turns source frames into output frames."""

    def __init__(
        self,
        parts: Parts,
        analysis: VideoAnalysis,
        plan: EditPlan,
        mel: MelSpectrogram,
        options: RenderOptions,
        timings: Timings,
        kept: FinishedFrames | None = None,
    ) -> None:
        self._parts = parts
        self._analysis = analysis
        self._plan = plan
        self._mel = mel
        self._options = options
        self._timings = timings
        self._kept = kept
        track = analysis.track
        self._lips = lip_crops(options.anchors_px, options.pads)
        self._surroundings = Surroundings(track, self._lips) if options.keep_surroundings else None
        # One number for the whole video: a change of bands would show as a flicker.
        heights_px = LIP_PX / np.linalg.norm(self._lips[track.detected, 1, :2], axis=-1)
        self._num_bands = choose_num_levels(float(np.median(heights_px)))

    def render(self, chunks: Iterable[FrameChunk]) -> Iterator[FrameChunk]:
        """Yield the edited frames.

        Args:
            chunks: source frames in the order of the timeline; ``start`` counts output frames.

        Yields:
            Chunks of the same sizes with the timeline's ``pts``.
        """
        for prepared, drift in smooth_stream(self._prepare(chunk) for chunk in chunks):
            yield self._finish(prepared, drift[prepared.rows])

    def _prepare(self, chunk: FrameChunk) -> tuple[_Prepared, Float64Array, IntArray]:
        numbers = slice(chunk.start, chunk.start + len(chunk))
        rows = np.flatnonzero(self._plan.opacity[numbers] > 0)
        source = self._plan.timeline.source_index[numbers][rows]
        run = self._plan.run[numbers]
        finished = None if self._kept is None else self._kept.load(chunk.start, chunk.rgb)
        if finished is not None:
            return _Prepared(chunk, rows, source, None, finished), finished.drift_px, run
        drift = np.zeros((len(chunk), 3, 2))
        references = None
        if len(rows):
            references = self._make_references(_views(chunk, rows), source, chunk.start + rows)
            drift[rows] = references.drift_px
        return _Prepared(chunk, rows, source, references), drift, run

    def _make_references(
        self, frames: list[UInt8Array], source: IntArray, numbers: IntArray
    ) -> References:
        options, parts = self._options, self._parts
        run = parts.runner.for_frames(numbers)
        crops = self._analysis.crops[source]
        if parts.dnet is None:
            assert options.references is not None
            rgb, anchors = options.references.of(source)
            return References(rgb, anchors, np.zeros_like(anchors), None, np.empty((0, 2, 3)))
        with self._timings.measure("D-Net", len(source)):
            factor = enlargement(parts.dnet)
            crops = enlarge_crops(crops, factor)
            if options.references is None:
                faces = _cut_each(frames, crops, factor * STABILISER_PX)
            else:
                faces, _ = options.references.of(source)
            windows = coefficient_windows(
                self._analysis.coefficients,
                source,
                self._analysis.track.shot_id,
                options.template,
                options.scale_ratio,
            )
            rgb = edit_expression(run, parts.dnet, faces, windows)
        with self._timings.measure("reference landmarks", len(source)):
            anchors = transform_points(crops, options.anchors_px[source])
            expected = transform_points(crops, self._landmarks(source))
            landmarks, drift = locate_references(parts.landmarker, rgb, expected, anchors)
        restored, to_restored = None, np.empty((0, 2, 3))
        if parts.reference_enhancer is not None:
            with self._timings.measure("reference enhancer", len(source)):
                restored, to_restored = restore_references(
                    run, parts.reference_enhancer, rgb, landmarks
                )
        return References(rgb, anchors, drift, restored, to_restored)

    def _finish(self, prepared: _Prepared, drift_px: Float64Array) -> FrameChunk:
        chunk, rows = prepared.chunk, prepared.rows
        numbers = chunk.start + rows
        output = chunk.rgb if prepared.finished is None else prepared.finished.rgb
        if prepared.references is not None:
            frames = _views(chunk, rows)
            faces = self._synthesise(frames, prepared, drift_px, numbers)
            overlays, parsed = self._restore(frames, faces, prepared.source, numbers)
            with self._timings.measure("paste-back", len(rows)):
                output = chunk.rgb.copy()
                for row, number in enumerate(numbers):
                    composite(
                        output[rows[row]],
                        self._layer(faces[row], prepared.source[row], parsed[row]),
                        self._num_bands,
                        overlays[row],
                        float(self._plan.opacity[number]),
                    )
            if self._kept is not None:
                drift = np.zeros((len(chunk), 3, 2))
                drift[rows] = prepared.references.drift_px
                self._kept.save(chunk.start, chunk.rgb, FinishedChunk(output, drift))
        pts = self._plan.timeline.pts[chunk.start : chunk.start + len(chunk)]
        return FrameChunk(chunk.start, pts, output)

    def _synthesise(
        self,
        frames: list[UInt8Array],
        prepared: _Prepared,
        drift_px: Float64Array,
        numbers: IntArray,
    ) -> UInt8Array:
        """New faces ``[A, 384, 384, 3]`` in the lip crop."""
        options, parts = self._options, self._parts
        run = parts.runner.for_frames(numbers)
        assert prepared.references is not None
        with self._timings.measure("L-Net, E-Net", len(numbers)):
            current = _cut_each(frames, self._lips[prepared.source], LIP_PX)
            references = cut_references(
                prepared.references, drift_px, options.pads, options.reference_strength
            )
            if self._surroundings is not None:
                references = self._surroundings.keep(references, current, prepared.source)
            mels = self._mel.windows(self._plan.timeline.audio_time_s[numbers])
            faces = synthesise_lips(run, parts.enet, current, references, mels)
        if options.up_face != "original":
            assert parts.ganimation is not None
            with self._timings.measure("emotion", len(numbers)):
                changed = change_upper_face(run, parts.ganimation, current, options.up_face)
                upper = slice(0, round(EDITED_FROM * LIP_PX))
                faces[:, upper] = changed[:, upper]
        return faces

    def _restore(
        self, frames: list[UInt8Array], faces: UInt8Array, source: IntArray, numbers: IntArray
    ) -> tuple[list[tuple[Layer, ...]], list[FloatArray | None]]:
        """Restored mouths to lay over the faces, and parsed masks in the lip crop."""
        parts = self._parts
        run = parts.runner.for_frames(numbers)
        nothing: tuple[Layer, ...] = ()
        if parts.restorer is None and parts.parser is None:
            return [nothing] * len(source), [None] * len(source)
        template = template_of(parts.restorer)
        landmarks = self._landmarks(source)
        points = five_points_by_corners(landmarks)
        to_aligned = fit_similarity(points, template)
        aligned = np.stack(
            [
                cut(paste(frame, self._layer(face, number, None)), matrix, RESTORED_PX)
                for frame, face, number, matrix in zip(
                    frames, faces, source, to_aligned, strict=True
                )
            ]
        )
        restored = None
        if parts.restorer is not None:
            with self._timings.measure("restorer", len(source)):
                restored = restore_faces(run, parts.restorer, aligned)
        labels = None
        if parts.parser is not None:
            with self._timings.measure("parser", len(source)):
                pictures = aligned if restored is None else restored
                labels = parse_faces(run, parts.parser, pictures)

        overlays, parsed = [], []
        to_lips = compose_affine(self._lips[source], invert_affine(to_aligned))
        for row, matrix in enumerate(to_aligned):
            layers = nothing
            if restored is not None:
                if labels is not None:
                    mask = part_mask(labels[row], MOUTH_PARTS)
                else:
                    mask = mouth_mask(transform_points(matrix, landmarks[row]), RESTORED_PX)
                strength = np.float32(self._options.restorer_strength)
                layers = (Layer(restored[row], strength * mask, matrix),)
            overlays.append(layers)
            shown = None
            if labels is not None:
                shown = warp(part_mask(labels[row], FACE_PARTS), to_lips[row], (LIP_PX, LIP_PX))
            parsed.append(shown)
        return overlays, parsed

    def _landmarks(self, source: IntArray | int) -> Float64Array:
        return self._analysis.track.landmarks_px[source].astype(np.float64)

    def _layer(self, face: UInt8Array, source: int, parsed: FloatArray | None) -> Layer:
        """Face with its mask: what the parser saw, or the inside of the jaw line."""
        whole = self._options.whole_face or self._options.up_face != "original"
        to_crop = self._lips[source]
        if parsed is not None:
            mask = parsed * edited_band(whole)
        else:
            mask = lower_face_mask(transform_points(to_crop, self._landmarks(source)), whole)
        return Layer(face, mask, to_crop)


def _views(chunk: FrameChunk, rows: IntArray) -> list[UInt8Array]:
    """Frames of a chunk without copying them: of 4K video, 16 take 400 MB."""
    return [chunk.rgb[row] for row in rows]


def _cut_each(frames: list[UInt8Array], crops: Float64Array, size_px: int) -> UInt8Array:
    return np.stack([cut(frame, crop, size_px) for frame, crop in zip(frames, crops, strict=True)])
