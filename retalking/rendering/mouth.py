"""What stands between the rendering of frames and any way of making a mouth.

A way gets the frames, poses and moments of speech of a chunk, and answers with faces and their
masks. It does so in two steps, since some values must be smoothed over time: what ``begin`` leaves
in ``drift_px`` is smoothed across the borders of chunks before ``finish`` gets it. ``A`` counts the
frames of a chunk that show a face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from retalking.face.crops import cut
from retalking.rendering.paste_back import Layer
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array


@dataclass(frozen=True)
class ChunkFaces:
    """The frames of a chunk that show a face.

    Attributes:
        frames: uint8 ``[H, W, 3]`` each; views, not to be written to.
        source: int64 ``[A]``, their indices in the source.
        numbers: int64 ``[A]``, their indices in the output.
        audio_time_s: float64 ``[A]``, the moments of the speech that they show.
    """

    frames: list[UInt8Array]
    source: IntArray
    numbers: IntArray
    audio_time_s: Float64Array

    def __len__(self) -> int:
        return len(self.frames)

    def cut(self, crops: Float64Array, size_px: int) -> UInt8Array:
        """Cut crops ``[A, 2, 3]`` out of the frames: uint8 ``[A, size_px, size_px, 3]``."""
        pairs = zip(self.frames, crops, strict=True)
        return np.stack([cut(frame, crop, size_px) for frame, crop in pairs])


@dataclass(frozen=True)
class MadeFaces:
    """Pictures on the way to the new faces, for those who look at a way that has them.

    Attributes:
        references: uint8 ``[A, 384, 384, 3]``, what showed the way how the face looks.
        low_res: float32 ``[A, 3, 96, 96]`` in RGB and [0, 1].
        rgb: uint8 ``[A, 384, 384, 3]``, the new face; where nothing is painted, it may be the old.
    """

    references: UInt8Array
    low_res: FloatArray
    rgb: UInt8Array


@dataclass(frozen=True)
class FinishedPart:
    """A part of a frame as it goes into the output.

    Attributes:
        rgb: uint8 ``[h, w, 3]``.
        corner_px: x and y of its first pixel.
    """

    rgb: UInt8Array
    corner_px: tuple[int, int]

    def put_into(self, frame: UInt8Array) -> None:
        """Replace that part of a frame, in place."""
        (x, y), (height, width) = self.corner_px, self.rgb.shape[:2]
        frame[y : y + height, x : x + width] = self.rgb


@dataclass(frozen=True)
class NewFaces:
    """What goes into the frames of a chunk.

    Attributes:
        layers: by frame, the new face.
        overlays: by frame, what is laid over it, such as restored teeth; shows only where it does.
        further: by frame, what is blended into the frame after it.
        limit: float32 ``[S, S]`` in the space of every layer, the most that a mask may cover;
            ``None`` if that is the layer's own mask.
        made: pictures on the way, if there were any.
        finished: parts of the frames with their new faces, if the way has blended them itself;
            then there are no layers.
    """

    layers: list[Layer]
    overlays: list[tuple[Layer, ...]]
    further: list[tuple[Layer, ...]]
    limit: FloatArray | None = None
    made: MadeFaces | None = None
    finished: list[FinishedPart] | None = None

    @classmethod
    def of(
        cls, layers: list[Layer], limit: FloatArray | None = None, made: MadeFaces | None = None
    ) -> NewFaces:
        """Return faces with nothing on top."""
        nothing: tuple[Layer, ...] = ()
        return cls(layers, [nothing] * len(layers), [nothing] * len(layers), limit, made)


class Begun(Protocol):
    """What a way has made of a chunk before it knows its neighbours."""

    @property
    def drift_px(self) -> Float64Array:
        """Values ``[A, ...]`` that are smoothed over time."""


BegunType = TypeVar("BegunType", bound=Begun)


class Mouth(Protocol[BegunType]):
    """A way of making the new mouth of one scene that speaks one speech.

    What it makes of a frame depends on the frame's number only, not on the cutting into chunks.
    """

    @property
    def drift_shape(self) -> tuple[int, ...]:
        """Shape of ``drift_px`` without its first axis; ``(0,)`` where nothing is smoothed."""

    def begin(self, faces: ChunkFaces) -> BegunType:
        """Do what needs no neighbours of the chunk.

        Args:
            faces: at least one.
        """

    def finish(self, faces: ChunkFaces, begun: BegunType, drift_px: Float64Array) -> NewFaces:
        """Make the new faces.

        Args:
            faces: the same.
            begun: what ``begin`` made of them.
            drift_px: float64 ``[A, ...]``, smoothed.
        """
