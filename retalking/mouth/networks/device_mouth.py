"""The paper's chain without a picture that leaves the device between its steps.

What a frame needs of its pixels goes there once, and comes back finished: crops, references, masks,
colours, the mark and the blending are computed where the networks are. Only numbers travel in
between: landmarks come down, and crops that follow them go up. ``A`` counts the frames of a chunk
that show a face; tensors are on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, lip_crops, shift_source
from retalking.face.landmarks import LiteLandmarker, LooksAtSquares
from retalking.media.sound.mel import MelSpectrogram
from retalking.mouth.coverings import look_for_coverings
from retalking.mouth.networks.device_landmarks import follow
from retalking.mouth.networks.device_references import (
    ReferenceCutter,
    SentFrames,
    Sharpened,
    enhance,
)
from retalking.mouth.networks.device_restored import DeviceRestorer
from retalking.mouth.networks.network_mouth import make_stabiliser
from retalking.mouth.networks.parts_of_frames import FrameParts
from retalking.mouth.networks.reference_choice import find_references
from retalking.mouth.networks.references import believe_drift
from retalking.mouth.networks.surroundings import REACH, TINT_PX, Surroundings, tint_shares
from retalking.mouth.networks.warped_references import WarpedReferences
from retalking.mouth.options import MouthOptions
from retalking.networks.calls import RESTORED_PX, edit_pixels, synthesise_pixels
from retalking.networks.load import Parts
from retalking.networks.run import Run
from retalking.networks.stage import Stage
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.mouth import ChunkFaces, FinishedPart, NewFaces
from retalking.rendering.on_device.filters import blur
from retalking.rendering.on_device.masks import lower_face_masks, outline_rows
from retalking.rendering.on_device.paste_back import (
    BatchMark,
    Placed,
    blend_faces,
    lay,
    match_rims,
)
from retalking.rendering.on_device.pictures import cut, to_bytes, to_planes
from retalking.rendering.on_device.warping import shrunk
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array


@dataclass(frozen=True)
class HeldFaces:
    """Faces of a chunk on the device.

    Attributes:
        regions: uint8 ``[A, h, w, 3]``, parts of the frames.
        rgb: float32 ``[A, 3, S, S]`` in 0..255, D-Net's result.
        anchors_px: float64 ``[A, 3, 2]``, eyes and nose of the source in the pixels of ``rgb``.
        drift_px: float64 ``[A, 3, 2]``, how far D-Net moved them.
        sharpened: of ``rgb``, if there is an enhancer.
    """

    regions: Tensor
    rgb: Tensor
    anchors_px: Float64Array
    drift_px: Float64Array
    sharpened: Sharpened | None


class DeviceMouth:
    """A ``Mouth`` like ``NetworkMouth`` with D-Net, in ``RestoredMouth`` if there is need of it."""

    drift_shape = (3, 2)

    def __init__(
        self,
        parts: Parts,
        scene: Scene,
        plan: EditPlan,
        mel: MelSpectrogram,
        options: MouthOptions,
        template: FloatArray,
        mark: BatchMark | None,
        timings: Timings,
    ) -> None:
        """Prepare for a scene.

        Args:
            parts: the networks.
            scene: the video.
            plan: of the output.
            mel: the speech.
            options: what the face does.
            template: expression ``[64]`` for every frame.
            mark: what is done to every new face.
            timings: told how long each step took.
        """
        self._parts, self._scene, self._plan, self._mel = parts, scene, plan, mel
        self._options, self._mark, self._timings = options, mark, timings
        look_for_coverings(scene.source, scene.analysis)
        chosen, track, runner = options.references_from, scene.analysis.track, parts.runner
        frames = find_references(chosen, scene, parts.dnet)
        assert not isinstance(frames, WarpedReferences)
        self._frames = None if frames is None else SentFrames(frames, track.shot_id, runner)
        stabiliser = make_stabiliser(parts, scene, chosen, template)
        assert stabiliser is not None
        self._stabiliser = stabiliser
        strength = options.reference_enhancer_strength if parts.reference_enhancer else 0.0
        self._cutter = ReferenceCutter(scene.pads, strength, runner)
        self._restorer = None
        seen = [(stabiliser.crops, stabiliser.size_px)] if frames is None else []
        if parts.restorer is not None or parts.parser is not None:
            self._restorer = DeviceRestorer(parts, scene, options, options.without_rl1)
            seen.append((self._restorer.to_aligned, RESTORED_PX))
        self._where = FrameParts.of(scene, *seen)
        self._stage = Stage(runner)
        self._num_bands = choose_num_levels(scene.face_height_px)
        kept = options.reference_surroundings == "source" and chosen != "first"
        self._surroundings = Surroundings(track, scene.to_lips) if kept else None
        self._of_shot: tuple[int, list[Tensor]] | None = None

    @staticmethod
    def suits(parts: Parts, options: MouthOptions) -> bool:
        """Whether a configuration has no step that needs pictures on the host."""
        return (
            parts.runner.holds_pictures
            and parts.dnet is not None
            and parts.enet is not None
            and isinstance(parts.landmarker, LiteLandmarker | LooksAtSquares)
            and options.references_from != "warped"
            and parts.ganimation is None
        )

    def begin(self, faces: ChunkFaces) -> HeldFaces:
        """Bring the faces up, and make the references."""
        source, run, (width, height) = faces.source, self._run(faces), self._where.size_px
        corners = self._where.corners_px[source].tolist()
        stabiliser, parts = self._stabiliser, self._parts
        assert parts.dnet is not None
        with self._timings.measure("D-Net", len(faces)):
            seen = [
                frame[y : y + height, x : x + width]
                for frame, (x, y) in zip(faces.frames, corners, strict=True)
            ]
            regions = self._stage.send(seen)
            if self._frames is None:
                crops = self._in_parts(stabiliser.crops, source)
                pictures = to_bytes(cut(to_planes(regions), crops, stabiliser.size_px))
            else:
                pictures = self._frames.of(source)
            windows = self._send(torch.from_numpy(stabiliser.windows(source)))
            edited = edit_pixels(run, parts.dnet, pictures, windows)
        with self._timings.measure("reference landmarks", len(faces)):
            rgb = to_planes(edited)
            expected, anchors = stabiliser.expect(source)
            assert isinstance(parts.landmarker, LiteLandmarker | LooksAtSquares)
            starts = expected.astype(np.float32)
            found = follow(parts.runner, run, parts.landmarker, rgb, starts)[..., :2]
            landmarks, drift = believe_drift(found.astype(np.float64), expected, anchors)
        if parts.reference_enhancer is None:
            return HeldFaces(regions, rgb, anchors, drift, None)
        with self._timings.measure("reference enhancer", len(faces)):
            to_lips = lip_crops(anchors + drift, self._scene.pads)
            sharp = enhance(run, parts.reference_enhancer, rgb, landmarks, to_lips)
        return HeldFaces(regions, rgb, anchors, drift, sharp)

    def finish(self, faces: ChunkFaces, begun: HeldFaces, drift_px: Float64Array) -> NewFaces:
        """Paint the lips, restore, blend, and bring the result down."""
        source, regions = faces.source, to_planes(begun.regions)
        to_crops = self._in_parts(self._scene.to_lips, source)
        network, whole_face = self._parts.enet, self._options.without_rl1
        assert network is not None
        with self._timings.measure("L-Net, E-Net", len(faces)):
            current = cut(regions, to_crops, LIP_PX)
            anchors = begun.anchors_px + drift_px
            references = self._cutter.cut(begun.rgb, begun.sharpened, anchors)
            rgb, _ = synthesise_pixels(
                self._run(faces),
                network,
                self._send(torch.from_numpy(self._mel.windows(faces.audio_time_s))),
                to_bytes(current),
                to_bytes(self._keep(references, current, source)),
                painted_only=not whole_face,
            )
        with self._timings.measure("paste-back", len(faces)):
            landmarks = transform_points(
                self._scene.to_lips[source], self._scene.landmarks_px(source)
            )
            rows = self._send(torch.from_numpy(outline_rows(landmarks, whole_face)))
            masks = lower_face_masks(rows, whole_face)
            laid = lay(to_planes(rgb), masks, to_crops, regions)
        laid, mouths = self._restore(faces, regions, laid, to_crops)
        with self._timings.measure("paste-back", 0):
            pictures = self._blend(faces, regions, laid, mouths)
        finished = [
            FinishedPart(picture, (x, y))
            for picture, (x, y) in zip(
                pictures, self._where.corners_px[source].tolist(), strict=True
            )
        ]
        return NewFaces([], [], [], finished=finished)

    def _restore(
        self, faces: ChunkFaces, regions: Tensor, laid: Placed, to_crops: Float64Array
    ) -> tuple[Placed, Placed | None]:
        """Faces in parts of frames, masked anew, and what is laid over them."""
        restorer, source = self._restorer, faces.source
        if restorer is None:
            return laid, None
        landmarks = self._scene.landmarks_px(source) - self._where.corners_px[source][:, None]
        to_aligned = self._in_parts(restorer.to_aligned, source)
        run, timings = self._run(faces), self._timings
        return restorer.finish(run, regions, laid, landmarks, to_aligned, to_crops, timings)

    def _blend(
        self, faces: ChunkFaces, regions: Tensor, laid: Placed, mouths: Placed | None
    ) -> UInt8Array:
        """Match colours, mark, blend and bring down: uint8 ``[A, h, w, 3]``."""
        source, corners = faces.source, self._where.corners_px[faces.source]
        patches = match_rims(laid, regions, self._where.heights_px[source])
        if mouths is not None:
            patches = mouths.over(patches)
        if self._mark is not None:
            patches = self._mark.mark_batch(
                patches, laid.masks, corners, faces.numbers, source, self._send
            )
        opacity = self._send(torch.from_numpy(self._plan.opacity[faces.numbers]))
        blended = blend_faces(regions, patches, laid.masks, self._num_bands, opacity)
        return self._parts.runner.fetch(blended).numpy()

    def _send(self, part: Tensor) -> Tensor:
        return self._parts.runner.send(part)

    def _run(self, faces: ChunkFaces) -> Run:
        return self._parts.runner.for_frames(faces.numbers, stays=True)

    def _in_parts(self, matrices: Float64Array, source: IntArray) -> Float64Array:
        """Transforms ``[A, 2, 3]`` of frames as those of their parts."""
        pairs = zip(matrices[source], self._where.corners_px[source].tolist(), strict=True)
        return np.stack([shift_source(matrix, *corner) for matrix, corner in pairs])

    def _keep(self, references: Tensor, faces: Tensor, source: IntArray) -> Tensor:
        """See ``Surroundings.keep``: float32 ``[A, 3, 384, 384]``, whole numbers."""
        if self._surroundings is None:
            return references
        shots = self._scene.analysis.track.shot_id[source]
        kept = []
        for rows in np.split(np.arange(len(shots)), np.flatnonzero(np.diff(shots)) + 1):
            region, share, weight = self._shares_of(int(shots[rows[0]]))
            face = faces[rows]
            excess = references[rows] - face
            sparse = shrunk(excess, (TINT_PX, TINT_PX)) * share
            tint = interpolate(
                blur(sparse, REACH * TINT_PX) / weight, (LIP_PX, LIP_PX), mode="bilinear"
            )
            kept.append((face + region * (excess - tint)).clamp(0, 255).round())
        return torch.cat(kept)

    def _shares_of(self, shot: int) -> list[Tensor]:
        """Region of the face, and ``tint_shares``, once for a shot."""
        if self._of_shot is None or self._of_shot[0] != shot:
            assert self._surroundings is not None
            region = self._surroundings.region(shot)
            numbers = (region, *tint_shares(region))
            self._of_shot = shot, [self._send(torch.from_numpy(part)) for part in numbers]
        return self._of_shot[1]
