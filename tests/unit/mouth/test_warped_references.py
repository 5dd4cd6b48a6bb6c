"""Quiet frames warped into the pose of others, on synthetic faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retalking.coefficients.basis import ExpressionBasis
from retalking.face.crops import LIP_PX, Pads, smooth_anchors
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.mouth.networks.warped_references import WarpedReferences
from tests.faces import make_analysis, make_track
from tests.media import write_video

SIZE = 96


def make_references(tmp_path: Path, sizes: list[float], index: list[int]) -> WarpedReferences:
    """A head that comes nearer, seen from the front."""
    shape = ExpressionBasis.from_file().mean_shape.astype(np.float64)
    landmarks = np.stack([SIZE / 2 + size * shape[:, :2] for size in sizes])
    track = make_track(landmarks.astype(np.float32))
    pictures = [np.full((SIZE, SIZE, 3), 40 * k, np.uint8) for k in range(len(sizes))]
    for picture, face in zip(pictures, landmarks, strict=True):
        column, row = np.rint(face[33]).astype(int)
        picture[row - 3 : row + 4, column - 3 : column + 4] = 255
    write_video(
        tmp_path / "a.mkv", codec="ffv1", width=SIZE, height=SIZE, pictures=pictures,
        pixel_format="bgr0",
    )  # fmt: skip
    analysis = make_analysis(track)
    with VideoReader(tmp_path / "a.mkv") as reader:
        return WarpedReferences.read(
            Source(reader), analysis, smooth_anchors(track), np.array(index), Pads()
        )


def test_a_frame_that_serves_itself_stays_as_it_is(tmp_path: Path) -> None:
    references = make_references(tmp_path, [12.0] * 5, [0, 0, 2, 0, 0])
    pictures, anchors = references.of(np.array([2, 3]))
    assert pictures.shape == (2, LIP_PX, LIP_PX, 3)
    np.testing.assert_allclose(anchors[0], anchors[1], atol=1e-6)
    assert int(np.median(pictures[0])) == 80  # frame 2
    assert int(np.median(pictures[1])) == 0  # frame 0, which serves frame 3


def test_what_is_lent_comes_to_the_place_of_the_pose(tmp_path: Path) -> None:
    """The white square at the nose is found where the larger face has its nose."""
    references = make_references(tmp_path, [9.0, 9.5, 10.0, 10.5, 11.0], [0] * 5)
    (picture,), (anchors,) = references.of(np.array([4]))
    rows, columns = np.nonzero(picture[..., 0] > 128)
    # The third anchor is the base of the nose; a pixel of the video is 4 to 6 of the crop.
    np.testing.assert_allclose([columns.mean(), rows.mean()], anchors[2], atol=4)
