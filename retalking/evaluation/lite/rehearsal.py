"""Faces and references of a dub as the networks make them, without a file.

``A`` counts the frames of a chunk that show a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

import cv2
import numpy as np

from retalking.errors import ConfigError
from retalking.face.crops import LIP_PX, STABILISER_PX, cut
from retalking.inference.dub import Dub, make_mouth
from retalking.inference.pipeline import Retalker
from retalking.inference.second_pass import render_with
from retalking.mouth.networks.references import References
from retalking.rendering.mouth import BegunType, ChunkFaces, Mouth, NewFaces
from retalking.rendering.renderer import RenderedChunk
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array


@dataclass(frozen=True)
class RehearsedFaces:
    """Faces of a chunk in the lip crop.

    Attributes:
        numbers: int64 ``[A]``, of the output frames.
        true: uint8 ``[A, 384, 384, 3]``, the source's face.
        faces: uint8 ``[A, 384, 384, 3]``, what L-Net and E-Net made.
        low_res: float32 ``[A, 3, 96, 96]`` in RGB and [0, 1], what L-Net made.
        dubbed: uint8 ``[A, 384, 384, 3]``, the face of the output frame.
    """

    numbers: IntArray
    true: UInt8Array
    faces: UInt8Array
    low_res: FloatArray
    dubbed: UInt8Array


class RememberingMouth(Generic[BegunType]):
    """A ``Mouth`` that begins every chunk once, for dubs that differ in their speech alone."""

    def __init__(self, mouth: Mouth[BegunType], begun: dict[int, BegunType]) -> None:
        """Wrap a way of making the mouth.

        Args:
            mouth: makes the faces.
            begun: what was begun already, by the number of a chunk's first face; added to.
        """
        self.drift_shape = mouth.drift_shape
        self._mouth = mouth
        self._begun = begun

    def begin(self, faces: ChunkFaces) -> BegunType:
        """Begin a chunk, or remember it."""
        first = int(faces.numbers[0])
        if first not in self._begun:
            self._begun[first] = self._mouth.begin(faces)
        return self._begun[first]

    def finish(self, faces: ChunkFaces, begun: BegunType, drift_px: Float64Array) -> NewFaces:
        """Make the new faces."""
        return self._mouth.finish(faces, begun, drift_px)


class Rehearsal:
    """Shows what a ``Retalker`` makes of a dub."""

    def __init__(
        self,
        retalker: Retalker,
        dub: Dub,
        begun: dict[int, References],
        expression: FloatArray | None = None,
    ) -> None:
        """Prepare for a dub.

        Args:
            retalker: whose networks are looked at.
            dub: what is made.
            begun: references by the number of a chunk's first face; added to. Rehearsals that
                differ in their speech alone share them.
            expression: template ``[64]`` in place of the configuration's.
        """
        timings = Timings()
        mouth = make_mouth(dub, retalker.parts, retalker.config, timings, expression)
        remembering = RememberingMouth(mouth, begun)
        self._renderer = render_with(remembering, dub, retalker.config, timings)
        self._dub = dub
        self._chunk_size = retalker.config.chunk_size

    def show_references(self) -> Iterator[tuple[UInt8Array, UInt8Array]]:
        """Yield the faces of each chunk and their references, without painting lips.

        Yields:
            Both uint8 ``[A, 256, 256, 3]`` in the stabiliser crop.
        """
        crops = self._dub.scene.analysis.crops
        for faces, references in self._renderer.begin(self._dub.read(self._chunk_size)):
            # D-Net may have worked on a larger cut of the same part.
            small = [
                cv2.resize(face, (STABILISER_PX, STABILISER_PX), interpolation=cv2.INTER_AREA)
                for face in references.rgb
            ]
            yield faces.cut(crops[faces.source], STABILISER_PX), np.stack(small)

    def show_faces(self) -> Iterator[RehearsedFaces]:
        """Yield what is made of each chunk that shows a face.

        Raises:
            ConfigError: the mouth is made without the networks of the paper.
        """
        for chunk in self._renderer.render(self._dub.read(self._chunk_size)):
            if chunk.new is not None:
                yield self._take(chunk, chunk.new)

    def _take(self, chunk: RenderedChunk, new: NewFaces) -> RehearsedFaces:
        if new.made is None:
            raise ConfigError("lite suite: measures the networks; expected mouth: networks")
        faces, crops = chunk.faces, self._dub.scene.to_lips[chunk.faces.source]
        places = faces.numbers - chunk.output.start
        dubbed = [
            cut(chunk.output.rgb[place], crop, LIP_PX)
            for place, crop in zip(places, crops, strict=True)
        ]
        true = faces.cut(crops, LIP_PX)
        return RehearsedFaces(faces.numbers, true, new.made.rgb, new.made.low_res, np.stack(dubbed))
