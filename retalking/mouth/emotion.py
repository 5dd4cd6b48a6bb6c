"""Another emotion of the upper face on top of any way of making the mouth (paper, section 3.1)."""

from __future__ import annotations

import dataclasses
from typing import Generic, Literal

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX
from retalking.networks.calls import change_upper_face
from retalking.networks.runner import Runner
from retalking.rendering.masks import upper_face_mask
from retalking.rendering.mouth import BegunType, ChunkFaces, Mouth, NewFaces
from retalking.rendering.paste_back import Layer
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array
from third_party.ganimation import GANimation

Emotion = Literal["original", "sad", "angry", "surprise"]


class EmotionalMouth(Generic[BegunType]):
    """A ``Mouth`` whose frames show another upper face as well."""

    def __init__(
        self,
        mouth: Mouth[BegunType],
        ganimation: GANimation,
        runner: Runner,
        scene: Scene,
        emotion: Emotion,
        timings: Timings,
    ) -> None:
        """Wrap a way of making the mouth.

        Args:
            mouth: makes the lower face.
            ganimation: changes the upper one.
            runner: runs it.
            scene: the video.
            emotion: of the upper face.
            timings: told how long it took.
        """
        self.drift_shape = mouth.drift_shape
        self.begin = mouth.begin
        self._mouth = mouth
        self._ganimation = ganimation
        self._runner = runner
        self._scene = scene
        self._emotion = emotion
        self._timings = timings

    def finish(self, faces: ChunkFaces, begun: BegunType, drift_px: Float64Array) -> NewFaces:
        """Add the upper face to what the other way has made."""
        new = self._mouth.finish(faces, begun, drift_px)
        to_lips = self._scene.to_lips[faces.source]
        with self._timings.measure("emotion", len(faces)):
            changed = change_upper_face(
                self._runner.for_frames(faces.numbers),
                self._ganimation,
                faces.cut(to_lips, LIP_PX),
                self._emotion,
            )
        landmarks = transform_points(to_lips, self._scene.landmarks_px(faces.source))
        upper = [
            Layer(rgb, upper_face_mask(points), to_crop)
            for rgb, points, to_crop in zip(changed, landmarks, to_lips, strict=True)
        ]
        further = [(*before, layer) for before, layer in zip(new.further, upper, strict=True)]
        return dataclasses.replace(new, further=further)
