"""The paper's chain as a way of making the mouth: D-Net, then L-Net and E-Net (figure 3).

``A`` counts the frames of a chunk that show a face.
"""

from __future__ import annotations

import logging

import numpy as np

from retalking.coefficients.windows import crop_scale_ratio
from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX
from retalking.media.sound.mel import MelSpectrogram
from retalking.mouth.coverings import look_for_coverings
from retalking.mouth.networks.reference_choice import find_references
from retalking.mouth.networks.references import References, cut_references
from retalking.mouth.networks.stabiliser import StabilisedVideo, Stabiliser
from retalking.mouth.networks.surroundings import Surroundings
from retalking.mouth.options import MouthOptions
from retalking.networks.calls import synthesise_lips
from retalking.networks.load import Parts
from retalking.networks.options import ReferenceSource
from retalking.rendering.masks import edited_band, lower_face_mask
from retalking.rendering.mouth import ChunkFaces, MadeFaces, NewFaces
from retalking.rendering.paste_back import Layer
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray

logger = logging.getLogger(__name__)


class NetworkMouth:
    """A ``Mouth`` by the paper's networks."""

    drift_shape = (3, 2)

    def __init__(
        self,
        parts: Parts,
        scene: Scene,
        mel: MelSpectrogram,
        options: MouthOptions,
        template: FloatArray,
        timings: Timings,
    ) -> None:
        """Prepare for a scene.

        Args:
            parts: the networks.
            scene: the video; some of its frames are read.
            mel: the speech.
            options: what the face does.
            template: expression ``[64]`` for every frame.
            timings: told how long each network took.
        """
        self._parts = parts
        self._scene = scene
        self._mel = mel
        self._options = options
        self._timings = timings
        self._limit = edited_band(options.without_rl1)
        chosen, dnet = options.references_from, parts.dnet
        if dnet is None and (chosen == "first" or options.exp_img != "neutral"):
            logger.warning("--exp-img and --one-shot have no effect without D-Net (dnet: null)")
        look_for_coverings(scene.source, scene.analysis)
        self._frames = find_references(chosen, scene, dnet)
        self._stabiliser = make_stabiliser(parts, scene, chosen, template)
        # Other references are not where the face is in the frame, and nor are their surroundings.
        in_place = chosen == "warped" or (dnet is not None and chosen != "first")
        self._surroundings = (
            Surroundings(scene.analysis.track, scene.to_lips)
            if in_place and options.reference_surroundings == "source"
            else None
        )

    def begin(self, faces: ChunkFaces) -> References:
        """Make the references."""
        if self._stabiliser is None:
            assert self._frames is not None
            rgb, anchors = self._frames.of(faces.source)
            return References(rgb, anchors, np.zeros_like(anchors))
        if self._frames is None:
            crops = self._stabiliser.crops[faces.source]
            pictures = faces.cut(crops, self._stabiliser.size_px)
        else:
            pictures, _ = self._frames.of(faces.source)
        run = self._parts.runner.for_frames(faces.numbers)
        return self._stabiliser.edit(run, pictures, faces.source, self._timings)

    def finish(self, faces: ChunkFaces, begun: References, drift_px: Float64Array) -> NewFaces:
        """Paint the lips."""
        options, source = self._options, faces.source
        to_lips = self._scene.to_lips[source]
        assert self._parts.enet is not None
        with self._timings.measure("L-Net, E-Net", len(faces)):
            current = faces.cut(to_lips, LIP_PX)
            references = cut_references(
                begun, drift_px, self._scene.pads, options.reference_enhancer_strength
            )
            if self._surroundings is not None:
                references = self._surroundings.keep(references, current, source)
            speaking = synthesise_lips(
                self._parts.runner.for_frames(faces.numbers),
                self._parts.enet,
                current,
                references,
                self._mel.windows(faces.audio_time_s),
                painted_only=not options.without_rl1,
            )
        landmarks = transform_points(to_lips, self._scene.landmarks_px(source))
        layers = [
            Layer(rgb, lower_face_mask(points, options.without_rl1), to_crop)
            for rgb, points, to_crop in zip(speaking.rgb, landmarks, to_lips, strict=True)
        ]
        made = MadeFaces(references, speaking.low_res, speaking.rgb)
        return NewFaces.of(layers, self._limit, made)


def make_stabiliser(
    parts: Parts, scene: Scene, chosen: ReferenceSource, template: FloatArray
) -> Stabiliser | None:
    """Return what makes references of a scene's faces, if there is a D-Net."""
    if parts.dnet is None:
        return None
    analysis, scale_ratio = scene.analysis, 1.0
    if chosen == "first":
        everyone = analysis.coefficients.rows(analysis.track.detected)
        scale_ratio = crop_scale_ratio(everyone.rows(slice(0, 1)), everyone)
    video = StabilisedVideo(
        analysis.track,
        analysis.coefficients,
        analysis.crops,
        scene.anchors_px,
        template,
        scale_ratio,
        scene.pads,
    )
    return Stabiliser(parts.dnet, parts.landmarker, video, parts.reference_enhancer)
