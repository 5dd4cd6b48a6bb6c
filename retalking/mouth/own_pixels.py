"""The speaker's own pixels as a way of making the mouth: ``mouth: warp``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.mouth.options import MouthSection
from retalking.mouth.person import Person
from retalking.mouth.warp import WarpMouth, WarpOptions
from retalking.mouth.warp.lip_measures import JAW, OPENING, measure_lips
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.mouth import ChunkFaces, NewFaces
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray


@dataclass(frozen=True)
class Nothing:
    """What is begun where everything is known before the first frame.

    Attributes:
        drift_px: float64 ``[A, 0]``.
    """

    drift_px: Float64Array


class OwnPixelsMouth:
    """A ``Mouth`` that warps the video's own pixels."""

    drift_shape = (0,)

    def __init__(
        self,
        scene: Scene,
        plan: EditPlan,
        shapes: FloatArray,
        options: MouthSection,
        expression: FloatArray,
        timings: Timings,
        person: Person | None = None,
        sounds: FloatArray | None = None,
    ) -> None:
        """Decide how every frame is made, and read the mouths that are lent.

        Args:
            scene: the video.
            plan: of the output.
            shapes: float32 ``[N, 5]``, lips of every output frame in standard deviations of the
                speaker, see ``LipShapes``.
            options: what the face does.
            expression: coefficients ``[64]`` of an ``ExpressionBasis``.
            timings: told how long it took.
            person: what other videos of the speaker have told.
            sounds: float32 ``[N, K]`` that are said, see ``LipShapes``; ``None`` if unknown.
        """
        self._timings = timings
        basis = ExpressionBasis.from_file()
        offset = tuple(lips_of_expression(expression, basis).tolist())
        with timings.measure("mouths to lend", len(plan)):
            self._warp = WarpMouth.prepare(
                scene.source,
                scene.analysis,
                plan,
                shapes,
                WarpOptions(options.lip_strength, offset, scene.pads, options.keep_away_s),
                basis,
                known=person.lips if person else None,
                bank=person.bank if person else None,
                sounds=sounds if person and person.knows(sounds) else None,
            )

    def begin(self, faces: ChunkFaces) -> Nothing:
        """Nothing is smoothed over time."""
        return Nothing(np.empty((len(faces), 0)))

    def finish(self, faces: ChunkFaces, begun: Nothing, drift_px: Float64Array) -> NewFaces:
        """Warp."""
        with self._timings.measure("warp", len(faces)):
            return NewFaces.of(self._warp.layers(faces.frames, faces.source, faces.numbers))


def lips_of_expression(expression: FloatArray, basis: ExpressionBasis) -> Float64Array:
    """Return by how much an expression changes lips that say the same: measures ``[5]``.

    Opening and jaw belong to speech, or the mouth would never close.

    Args:
        expression: coefficients ``[64]``.
        basis: of these.
    """
    shown, neutral = basis.decode(np.stack([expression, basis.templates["neutral"]]))
    offset = measure_lips(shown) - measure_lips(neutral)
    offset[[OPENING, JAW]] = 0
    return offset
