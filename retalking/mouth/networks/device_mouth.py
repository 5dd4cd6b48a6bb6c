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

from retalking.face.affine import invert_affine, transform_points
from retalking.face.crops import LIP_PX, lip_crops, shift_source
from retalking.face.landmark_crop import crop_around_landmarks
from retalking.face.landmarks import LiteLandmarker
from retalking.media.sound.mel import MelSpectrogram
from retalking.mouth.coverings import look_for_coverings
from retalking.mouth.networks.network_mouth import make_stabiliser
from retalking.mouth.networks.parts_of_frames import FrameParts
from retalking.mouth.networks.references import believe_drift
from retalking.mouth.networks.surroundings import REACH, TINT_PX, Surroundings, tint_shares
from retalking.mouth.options import MouthOptions
from retalking.networks.calls import edit_pixels, synthesise_pixels
from retalking.networks.load import Parts
from retalking.networks.run import Run
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.mouth import ChunkFaces, FinishedPart, NewFaces
from retalking.rendering.on_device.filters import blur
from retalking.rendering.on_device.masks import lower_face_masks, outline_rows
from retalking.rendering.on_device.paste_back import BatchMark, blend_faces, place_faces
from retalking.rendering.on_device.warping import resample, shrunk
from retalking.rendering.scene import Scene
from retalking.timings import Timings
from retalking.types import Float64Array, FloatArray, IntArray


@dataclass(frozen=True)
class HeldFaces:
    """Faces of a chunk on the device.

    Attributes:
        regions: uint8 ``[A, h, w, 3]``, parts of the frames.
        rgb: float32 ``[A, 3, S, S]`` in 0..255, D-Net's result.
        anchors_px: float64 ``[A, 3, 2]``, eyes and nose of the source in the pixels of ``rgb``.
        drift_px: float64 ``[A, 3, 2]``, how far D-Net moved them.
    """

    regions: Tensor
    rgb: Tensor
    anchors_px: Float64Array
    drift_px: Float64Array


class DeviceMouth:
    """A ``Mouth`` like ``NetworkMouth`` with D-Net on the frames themselves."""

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
        look_for_coverings(scene.source, scene.analysis)
        stabiliser = make_stabiliser(parts, scene, options.references_from, template)
        assert stabiliser is not None
        self._parts, self._scene, self._plan, self._mel = parts, scene, plan, mel
        self._options, self._mark, self._timings = options, mark, timings
        self._stabiliser = stabiliser
        self._where = FrameParts.of(scene, stabiliser.crops, stabiliser.size_px)
        self._num_bands = choose_num_levels(scene.face_height_px)
        kept = options.reference_surroundings == "source"
        self._surroundings = Surroundings(scene.analysis.track, scene.to_lips) if kept else None
        self._of_shot: tuple[int, list[Tensor]] | None = None

    @staticmethod
    def suits(parts: Parts, options: MouthOptions) -> bool:
        """Whether a configuration has no step that needs pictures on the host."""
        on_host = (parts.reference_enhancer, parts.restorer, parts.parser, parts.ganimation)
        return (
            parts.runner.holds_pictures
            and parts.dnet is not None
            and parts.enet is not None
            and isinstance(parts.landmarker, LiteLandmarker)
            and options.references_from == "current"
            and all(part is None for part in on_host)
        )

    def begin(self, faces: ChunkFaces) -> HeldFaces:
        """Bring the faces up, and make the references."""
        source, (width, height) = faces.source, self._where.size_px
        corners = self._where.corners_px[source].tolist()
        with self._timings.measure("D-Net", len(faces)):
            seen = [
                frame[y : y + height, x : x + width]
                for frame, (x, y) in zip(faces.frames, corners, strict=True)
            ]
            regions = self._send(torch.from_numpy(np.stack(seen)))
            stabiliser, dnet = self._stabiliser, self._parts.dnet
            assert dnet is not None
            crops = self._in_parts(stabiliser.crops, source)
            pictures = _cut(_planes(regions), crops, stabiliser.size_px)
            windows = self._send(torch.from_numpy(stabiliser.windows(source)))
            edited = edit_pixels(self._run(faces), dnet, _bytes(pictures), windows)
        with self._timings.measure("reference landmarks", len(faces)):
            rgb = _planes(edited)
            expected, anchors = stabiliser.expect(source)
            found = self._find(self._run(faces), rgb, expected.astype(np.float32))
            _, drift = believe_drift(found, expected, anchors)
        return HeldFaces(regions, rgb, anchors, drift)

    def finish(self, faces: ChunkFaces, begun: HeldFaces, drift_px: Float64Array) -> NewFaces:
        """Paint the lips, blend, and bring the result down."""
        source, regions = faces.source, _planes(begun.regions)
        to_crops = self._in_parts(self._scene.to_lips, source)
        network = self._parts.enet
        assert network is not None
        with self._timings.measure("L-Net, E-Net", len(faces)):
            current = _cut(regions, to_crops, LIP_PX)
            crops = lip_crops(begun.anchors_px + drift_px, self._scene.pads)
            references = self._keep(_cut(begun.rgb, crops, LIP_PX), current, source)
            rgb, _ = synthesise_pixels(
                self._run(faces),
                network,
                self._send(torch.from_numpy(self._mel.windows(faces.audio_time_s))),
                _bytes(current),
                _bytes(references),
                painted_only=not self._options.without_rl1,
            )
        with self._timings.measure("paste-back", len(faces)):
            landmarks = transform_points(
                self._scene.to_lips[source], self._scene.landmarks_px(source)
            )
            whole_face = self._options.without_rl1
            rows = self._send(torch.from_numpy(outline_rows(landmarks, whole_face)))
            masks = lower_face_masks(rows, whole_face)
            heights = self._where.heights_px[source]
            patches, shown = place_faces(_planes(rgb), masks, regions, to_crops, heights)
            corners = self._where.corners_px[source]
            if self._mark is not None:
                patches = self._mark.mark_batch(
                    patches, shown, corners, faces.numbers, source, self._send
                )
            opacity = self._send(torch.from_numpy(self._plan.opacity[faces.numbers]))
            blended = blend_faces(regions, patches, shown, self._num_bands, opacity)
            pictures = self._parts.runner.fetch(blended).numpy()
        finished = [
            FinishedPart(picture, (x, y))
            for picture, (x, y) in zip(pictures, corners.tolist(), strict=True)
        ]
        return NewFaces([], [], [], finished=finished)

    def _send(self, part: Tensor) -> Tensor:
        return self._parts.runner.send(part)

    def _run(self, faces: ChunkFaces) -> Run:
        return self._parts.runner.for_frames(faces.numbers, stays=True)

    def _in_parts(self, matrices: Float64Array, source: IntArray) -> Float64Array:
        """Transforms ``[A, 2, 3]`` of frames as those of their parts."""
        pairs = zip(matrices[source], self._where.corners_px[source].tolist(), strict=True)
        return np.stack([shift_source(matrix, *corner) for matrix, corner in pairs])

    def _find(self, run: Run, pictures: Tensor, starts: FloatArray) -> Float64Array:
        """Follow landmarks ``[A, 68, 2]`` into pictures ``[A, 3, S, S]``."""
        landmarker = self._parts.landmarker
        assert isinstance(landmarker, LiteLandmarker)
        size, crops = landmarker.crop_px, [crop_around_landmarks(points) for points in starts]
        to_crops = invert_affine(np.stack([crop.from_crop(size) for crop in crops]))
        seen = resample(pictures, to_crops, (size, size), rounds=True)
        (points,) = run.several(
            landmarker.read,
            seen,
            forward=lambda batch: (landmarker.read(batch)[0],),
            finish=lambda batch: (batch,),
        )
        found = self._parts.runner.fetch(points).numpy()
        placed = [crop.to_picture(face) for crop, face in zip(crops, found, strict=True)]
        return np.stack(placed)[..., :2].astype(np.float64)

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


def _planes(pictures: Tensor) -> Tensor:
    """uint8 ``[A, H, W, 3]`` -> float32 ``[A, 3, H, W]`` in 0..255."""
    return pictures.permute(0, 3, 1, 2).float()


def _bytes(pictures: Tensor) -> Tensor:
    """Undo ``_planes``."""
    return pictures.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def _cut(pictures: Tensor, to_crops: Float64Array, size_px: int) -> Tensor:
    """``face.crops.cut`` of a batch, as whole numbers in float32."""
    return resample(pictures, to_crops, (size_px, size_px), repeats_edge=True, rounds=True)
