"""A renderer that shows what the networks made on the way to the frame.

It is the renderer of ``inference.py``; it only looks. ``A`` counts the frames of a chunk that show
a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models.lnet import LNet
from retalking.face.crops import LIP_PX, STABILISER_PX
from retalking.media.mel import MelSpectrogram
from retalking.mouth.networks.references import References
from retalking.networks.lip_calls import swap_colours
from retalking.networks.load import Parts
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.renderer import Renderer, RenderOptions, _cut_each, _Prepared
from retalking.rendering.streaming_filter import smooth_stream
from retalking.timings import Timings
from retalking.types import Float64Array, FrameChunk, IntArray, UInt8Array, VideoAnalysis


@dataclass(frozen=True)
class Take:
    """Faces of a chunk in the lip crop.

    Attributes:
        numbers: int64 ``[A]``, of the output frames.
        true: uint8 ``[A, 384, 384, 3]``, the source's face.
        faces: uint8 ``[A, 384, 384, 3]``, what L-Net and E-Net made.
        low_res: ``[A, 3, 96, 96]`` in RGB and [0, 1], what L-Net made.
        dubbed: uint8 ``[A, 384, 384, 3]``, the face of the output frame, or ``None`` where the
            face was not pasted back.
    """

    numbers: IntArray
    true: UInt8Array
    faces: UInt8Array
    low_res: Tensor
    dubbed: UInt8Array | None


class Rehearsal(Renderer):
    """Renders like ``Renderer``, and keeps references for the next time.

    Attributes:
        references: of every chunk by the number of its first frame with a face. Rehearsals that
            differ in their speech alone may share them.
        lip_crops: float64 ``[F, 2, 3]``, frame of the source to lip crop.
    """

    def __init__(
        self,
        parts: Parts,
        analysis: VideoAnalysis,
        plan: EditPlan,
        mel: MelSpectrogram,
        options: RenderOptions,
        references: dict[int, References] | None = None,
    ) -> None:
        """See ``Renderer``."""
        super().__init__(parts, analysis, plan, mel, options, Timings())
        self.references = {} if references is None else references
        self.lip_crops = self._lips
        self._faces = np.empty((0, LIP_PX, LIP_PX, 3), dtype=np.uint8)

    def show_references(
        self, chunks: Iterable[FrameChunk]
    ) -> Iterator[tuple[UInt8Array, UInt8Array]]:
        """Yield the faces of each chunk and their references, without painting lips.

        Yields:
            Both uint8 ``[A, 256, 256, 3]`` in the stabiliser crop.
        """
        for chunk in chunks:
            prepared, _, _ = self._prepare(chunk)
            if prepared.references is not None:
                crops = self._analysis.crops[prepared.source]
                faces = _cut_each(list(chunk.rgb[prepared.rows]), crops, STABILISER_PX)
                # D-Net may have worked on a larger cut of the same part.
                small = [
                    cv2.resize(face, (STABILISER_PX, STABILISER_PX), interpolation=cv2.INTER_AREA)
                    for face in prepared.references.rgb
                ]
                yield faces, np.stack(small)

    def show_faces(self, chunks: Iterable[FrameChunk], paste: bool = False) -> Iterator[Take]:
        """Yield what is made of each chunk that shows a face.

        Args:
            chunks: see ``Renderer.render``.
            paste: make the output frames, too.
        """
        painted: list[Tensor] = []
        network = self._parts.enet
        lnet: nn.Module = network if isinstance(network, LNet) else network.low_res
        watch = lnet.register_forward_hook(lambda _module, _inputs, face: painted.append(face))
        try:
            for prepared, drift in smooth_stream(self._prepare(chunk) for chunk in chunks):
                if prepared.references is None:
                    continue
                painted.clear()
                rows, crops = prepared.rows, self._lips[prepared.source]
                frames, numbers = list(prepared.chunk.rgb[rows]), prepared.chunk.start + rows
                dubbed = None
                if paste:
                    output = self._finish(prepared, drift[rows])
                    dubbed = _cut_each(list(output.rgb[rows]), crops, LIP_PX)
                else:
                    self._synthesise(frames, prepared, drift[rows], numbers)
                low_res = swap_colours(_take_frames(painted, numbers))
                true = _cut_each(frames, crops, LIP_PX)
                yield Take(numbers, true, self._faces, low_res, dubbed)
        finally:
            watch.remove()

    def _make_references(
        self, frames: list[UInt8Array], source: IntArray, numbers: IntArray
    ) -> References:
        first = int(numbers[0])
        if first not in self.references:
            self.references[first] = super()._make_references(frames, source, numbers)
        return self.references[first]

    def _synthesise(
        self,
        frames: list[UInt8Array],
        prepared: _Prepared,
        drift_px: Float64Array,
        numbers: IntArray,
    ) -> UInt8Array:
        self._faces = super()._synthesise(frames, prepared, drift_px, numbers)
        return self._faces


def _take_frames(batches: list[Tensor], numbers: IntArray) -> Tensor:
    """Pick the frames with these numbers ``[A]`` from the batches that a ``Runner`` made of them.

    Returns:
        float32 ``[A, ...]`` on the CPU.
    """
    size = len(batches[0])
    ends = np.flatnonzero(np.diff(numbers // size)) + 1
    places = [torch.from_numpy(part % size) for part in np.split(numbers, ends)]
    return torch.cat(
        [batch.float().cpu()[rows] for batch, rows in zip(batches, places, strict=True)]
    )
