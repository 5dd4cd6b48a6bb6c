"""Quiet frames warped into the pose of others, on synthetic faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.crops import LIP_PX, Pads, cut, lip_crops, smooth_anchors
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.mouth.networks.references import References, cut_references
from retalking.mouth.networks.warped_references import WarpedReferences
from retalking.types import FaceTrack
from tests.faces import make_analysis, make_track
from tests.media import moving_picture, write_video

SIZE = 128


def make_face(sizes: list[float]) -> tuple[list[np.ndarray], FaceTrack]:
    """A head seen from the front, with a white square on its nose."""
    shape = ExpressionBasis.from_file().mean_shape.astype(np.float64)
    landmarks = np.stack([SIZE / 2 + size * shape[:, :2] for size in sizes])
    pictures = [moving_picture(k, SIZE, SIZE) // 2 for k in range(len(sizes))]
    for picture, face in zip(pictures, landmarks, strict=True):
        column, row = np.rint(face[33]).astype(int)
        picture[row - 3 : row + 4, column - 3 : column + 4] = 255
    return pictures, make_track(landmarks.astype(np.float32))


def show(
    path: Path, pictures: list[np.ndarray], track: FaceTrack, index: list[int], frame: int
) -> np.ndarray:
    """What L-Net is given as the reference of a frame: ``[384, 384, 3]``."""
    write_video(path, codec="ffv1", width=SIZE, height=SIZE, pictures=pictures, pixel_format="bgr0")
    with VideoReader(path) as reader:
        references = WarpedReferences.read(
            Source(reader), make_analysis(track), smooth_anchors(track), np.array(index), Pads()
        )
    rgb, anchors = references.of(np.array([frame]))
    found = References(rgb, anchors, np.zeros_like(anchors))
    return cut_references(found, np.zeros_like(anchors), Pads(), 0.0)[0]


def test_a_frame_that_serves_itself_stays_as_it_is(tmp_path: Path) -> None:
    pictures, track = make_face([14.0] * 5)
    seen = show(tmp_path / "a.mkv", pictures, track, [2, 2, 2, 2, 2], 2)
    expected = cut(pictures[2], lip_crops(smooth_anchors(track), Pads())[2], LIP_PX)
    # The picture is resampled once more than in one step: only edges differ.
    assert np.abs(seen.astype(float) - expected).mean() < 2


def test_what_is_lent_comes_to_the_place_of_the_pose(tmp_path: Path) -> None:
    """The white square on the nose is found where the larger face has its nose."""
    pictures, track = make_face([11.0, 11.5, 12.0, 12.5, 13.0])
    seen = show(tmp_path / "a.mkv", pictures, track, [0] * 5, 4)
    rows, columns = np.nonzero(seen[..., 0] > 180)
    to_lips = lip_crops(smooth_anchors(track), Pads())[4]
    nose = to_lips @ np.append(smooth_anchors(track)[4, 2], 1)
    # A pixel of the video is 4 to 6 of the crop.
    np.testing.assert_allclose([columns.mean(), rows.mean()], nose, atol=4)
