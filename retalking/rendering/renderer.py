"""Second pass: new faces into the frames, chunk by chunk (paper, figure 3).

Chunks are a matter of memory only. What looks at neighbouring frames reads numbers of the first
pass or goes through ``smooth_stream``, so the output is the same for every chunk size. How a new
face is made is the business of a ``Mouth``. ``T`` counts the frames of a chunk, ``A`` those of them
that show a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic

import numpy as np

from retalking.arrays import scratch
from retalking.media.memory import waiting_chunks
from retalking.media.prefetch import WriteBehind
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.finished_frames import FinishedChunk, FinishedFrames
from retalking.rendering.mouth import BegunType, ChunkFaces, Mouth, NewFaces
from retalking.rendering.paste_back import Mark, MarkedFrame, composite
from retalking.rendering.scene import Scene
from retalking.rendering.streaming_filter import smooth_stream
from retalking.timings import Timings
from retalking.types import Float64Array, FrameChunk, IntArray


@dataclass(frozen=True)
class RenderedChunk:
    """A chunk of the output, and how it came about.

    Attributes:
        source: the source frames; ``start`` counts frames of the output.
        output: the same frames with their new faces and the timeline's ``pts``.
        faces: those of the source frames that show a face.
        new: what was blended into these; ``None`` if there are none, or if the frames were finished
            by an earlier job.
    """

    source: FrameChunk
    output: FrameChunk
    faces: ChunkFaces
    new: NewFaces | None


@dataclass(frozen=True)
class _Prepared(Generic[BegunType]):
    """A chunk that waits for its neighbours.

    Attributes:
        chunk: the source frames.
        rows: int64 ``[A]``, which of them show a face.
        faces: these.
        begun: what the mouth made of them; ``None`` if there are none, or nothing is left to do.
        finished: the result, if an earlier job got as far as this.
    """

    chunk: FrameChunk
    rows: IntArray
    faces: ChunkFaces
    begun: BegunType | None
    finished: FinishedChunk | None = None


_Kept = tuple[FrameChunk, FinishedChunk]
"""Frames of the source, and the same frames as they go into the output."""


class Renderer(Generic[BegunType]):
    """Turns source frames into output frames."""

    def __init__(
        self,
        scene: Scene,
        plan: EditPlan,
        mouth: Mouth[BegunType],
        timings: Timings,
        kept: FinishedFrames | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Prepare for a job.

        Args:
            scene: the video.
            plan: what happens to each frame of the output.
            mouth: makes the new faces.
            timings: told how long the paste-back took.
            kept: finished chunks of an earlier run of the same job.
            mark: what is done to every new face.
        """
        self._mark = mark
        self._waiting = waiting_chunks(scene.analysis.info)
        self._plan = plan
        self._mouth = mouth
        self._timings = timings
        self._kept = kept
        # One number for the whole video: a change of bands would show as a flicker.
        self._num_bands = choose_num_levels(scene.face_height_px)

    def render(self, chunks: Iterable[FrameChunk]) -> Iterator[RenderedChunk]:
        """Yield the edited frames.

        Args:
            chunks: source frames in the order of the timeline; ``start`` counts output frames.

        Yields:
            Chunks of the same sizes.
        """
        with self._keeping() as keeping:
            for prepared, drift in smooth_stream(self._prepare(chunk) for chunk in chunks):
                yield self._finish(prepared, drift[prepared.rows], keeping)
                scratch.let_go()

    def begin(self, chunks: Iterable[FrameChunk]) -> Iterator[tuple[ChunkFaces, BegunType]]:
        """Yield what the mouth makes of each chunk before it knows its neighbours, and no frame."""
        for chunk in chunks:
            prepared, _, _ = self._prepare(chunk)
            if prepared.begun is not None:
                yield prepared.faces, prepared.begun

    def _prepare(self, chunk: FrameChunk) -> tuple[_Prepared[BegunType], Float64Array, IntArray]:
        numbers = slice(chunk.start, chunk.start + len(chunk))
        rows = np.flatnonzero(self._plan.opacity[numbers] > 0)
        timeline, run = self._plan.timeline, self._plan.run[numbers]
        faces = ChunkFaces(
            [chunk.rgb[row] for row in rows],  # views: of 4K video, 16 frames take 400 MB
            timeline.source_index[numbers][rows],
            chunk.start + rows,
            timeline.audio_time_s[numbers][rows],
        )
        finished = None if self._kept is None else self._kept.load(chunk.start, chunk.rgb)
        if finished is not None:
            return _Prepared(chunk, rows, faces, None, finished), finished.drift_px, run
        begun = self._mouth.begin(faces) if len(rows) else None
        drift = self._spread_drift(rows, begun, len(chunk))
        return _Prepared(chunk, rows, faces, begun), drift, run

    def _spread_drift(
        self, rows: IntArray, begun: BegunType | None, num_frames: int
    ) -> Float64Array:
        """Drift of all frames ``[T, ...]``, zero in those without a face."""
        drift = np.zeros((num_frames, *self._mouth.drift_shape))
        if begun is not None:
            drift[rows] = begun.drift_px
        return drift

    def _keeping(self) -> AbstractContextManager[WriteBehind[_Kept] | None]:
        """What keeps finished chunks while the next ones are made; ``None`` if none are kept."""
        kept = self._kept
        if kept is None:
            return nullcontext()
        return WriteBehind[_Kept](
            lambda pair: kept.save(pair[0].start, pair[0].rgb, pair[1]), self._waiting
        )

    def _finish(
        self,
        prepared: _Prepared[BegunType],
        drift_px: Float64Array,
        keeping: WriteBehind[_Kept] | None,
    ) -> RenderedChunk:
        chunk, faces = prepared.chunk, prepared.faces
        output = chunk.rgb if prepared.finished is None else prepared.finished.rgb
        new = None
        if prepared.begun is not None:
            new = self._mouth.finish(faces, prepared.begun, drift_px)
            with self._timings.measure("paste-back", len(faces)):
                output = chunk.rgb.copy()
                for place, row in enumerate(prepared.rows):
                    self._blend(output[row], new, place, faces)
            if keeping is not None:
                drift = self._spread_drift(prepared.rows, prepared.begun, len(chunk))
                keeping.put((chunk, FinishedChunk(output, drift)))
        pts = self._plan.timeline.pts[chunk.start : chunk.start + len(chunk)]
        return RenderedChunk(chunk, FrameChunk(chunk.start, pts, output), faces, new)

    def _blend(self, frame: np.ndarray, new: NewFaces, place: int, faces: ChunkFaces) -> None:
        if new.finished is not None:
            new.finished[place].put_into(frame)
            return
        number, source = int(faces.numbers[place]), int(faces.source[place])
        opacity = float(self._plan.opacity[number])
        marked = None if self._mark is None else MarkedFrame(self._mark, number, source)
        composite(frame, new.layers[place], self._num_bands, new.overlays[place], opacity, marked)
        for layer in new.further[place]:
            composite(frame, layer, self._num_bands, opacity=opacity)
