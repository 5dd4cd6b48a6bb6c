"""A picture without a face that shows one when it is turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from retalking.analysis.turned import find_turn
from retalking.errors import FaceNotFoundError
from retalking.face.detection import CascadeDetector
from retalking.face.landmarks import LiteLandmarker
from retalking.inference.pipeline import Retalker
from retalking.media.images import save_image


@pytest.mark.parametrize("lies_deg", [90, 180, 270])
def test_the_turn_that_makes_a_face_upright_is_found(lies_deg: int) -> None:
    landmarker = LiteLandmarker.from_file()
    portrait = np.rot90(skimage.data.astronaut()[:256, 100:356], lies_deg // 90)
    turn_deg = find_turn(np.ascontiguousarray(portrait), CascadeDetector(landmarker), landmarker)
    assert turn_deg == lies_deg


def test_what_shows_no_face_shows_none_turned() -> None:
    landmarker = LiteLandmarker.from_file()
    cat = np.ascontiguousarray(skimage.data.chelsea()[::2, ::2])
    assert find_turn(cat, CascadeDetector(landmarker), landmarker) is None


def test_the_message_says_which_option_helps_and_it_does(tmp_path: Path) -> None:
    picture = tmp_path / "lying.png"
    save_image(picture, np.ascontiguousarray(np.rot90(skimage.data.astronaut()[:256, 100:356])))
    retalker = Retalker.from_profile("lite", tmp_dir=tmp_path / "cache")
    with pytest.raises(FaceNotFoundError, match=r"frame 0 shows one: add --rotate 90$"):
        retalker.prepare(picture)
    upright = Retalker(retalker.config.model_copy(update={"rotate": 90}), retalker.parts)
    with upright.prepare(picture) as scene:
        assert scene.analysis.track.detected.all()
