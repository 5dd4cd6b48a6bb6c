"""D-Net's crop: of corpora that are cropped already, and how much of it lies beyond the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.prepare.clip import ClipPreparer
from datasets.prepare.cutting import share_outside, whole_frame
from retalking.errors import MediaError
from tests.media import speech_like, write_video
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of, walking_face


def changed(**values: object) -> ClipPreparer:
    return ClipPreparer(SETTINGS.model_copy(update=values))


def test_the_frame_is_the_crop(media: Path) -> None:
    (clip,) = changed(stabiliser_extent="frame").prepare(row_of(media, "talk"))
    crops = clip.parts["tracks"]["stabiliser_crop"]
    np.testing.assert_allclose(crops[:, :, :2], np.tile(np.eye(2) * 256 / 200, (12, 1, 1)))
    corners = np.array([[-0.5, -0.5, 1], [199.5, 199.5, 1]])
    np.testing.assert_allclose(corners @ crops[0].T, [[-0.5, -0.5], [255.5, 255.5]])


def test_a_wide_frame_is_no_crop() -> None:
    with pytest.raises(MediaError, match="a frame of 320x180 px is no crop of a face"):
        whole_frame((320, 180), 3)


def test_crops_beyond_the_frame_are_left_out(tmp_path: Path) -> None:
    """VoxCeleb's frames are as tight as these: a fifth and more would be a repeated edge."""
    tight = [frame[20:150, 30:160] for frame in walking_face(9)]
    write_video(tmp_path / "v.mp4", pictures=tight, audio=speech_like(0.5), width=130, height=130)
    with pytest.raises(MediaError, match=r"v\.mp4: \d+% of D-Net's crop lies beyond the frame"):
        changed(max_outside=0.05).prepare(row_of(tmp_path, "v"))
    assert changed(max_outside=0.9).prepare(row_of(tmp_path, "v"))


def test_the_share_outside_is_an_area() -> None:
    crop = np.array([[[2.0, 0, 100.0], [0, 2.0, 0.0]]])  # 50 px beside a frame of 200 px
    inside_px = 128 - 50
    assert share_outside(crop, 256, (200, 200)) == pytest.approx(50 / 128, abs=0.01)
    assert share_outside(crop, 256, (inside_px, 200)) == pytest.approx(50 / 128, abs=0.01)
    assert share_outside(whole_frame((224, 224), 2), 256, (224, 224)) == pytest.approx(0)
