"""Whose face is edited, and what happens to frames without a usable one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import FaceNotFoundError, MediaError
from retalking.media.images import save_image
from retalking.networks.load import Parts
from tests import media
from tests.e2e.conftest import (
    HEIGHT,
    WIDTH,
    portrait_frames,
    two_people,
)
from tests.e2e.jobs import Job, read_frames


def test_a_box_stands_in_for_the_detector(job: Job, still_parts: Parts, clip: Path) -> None:
    class Blind:
        def detect(self, rgb: np.ndarray, known_px: np.ndarray | None = None) -> np.ndarray:
            return np.zeros((0, 4), np.float32)

    blind = dataclasses.replace(still_parts, detector=Blind())
    with pytest.raises(FaceNotFoundError):
        job(blind)
    center = WIDTH // 2
    found = job(blind, box=[40, 170, center - 55, center + 55])
    assert np.abs(found.astype(int) - job()).mean() < 1
    assert not np.array_equal(found, read_frames(clip))


@pytest.mark.parametrize(
    ("options", "is_left"),
    [
        ({}, True),
        ({"face_index": 0}, True),
        ({"face_index": 1}, False),
        ({"face_box": [270, 20, 440, 170]}, False),
    ],
)
def test_one_of_two_people_is_edited(
    job: Job, tmp_path: Path, options: dict[str, object], is_left: bool
) -> None:
    path = two_people(tmp_path)
    dubbed, source = job(face=path, length_policy="video", **options), read_frames(path)
    changed = (dubbed != source).any(axis=(0, 1, 3))
    assert changed[:256].any() == is_left
    assert changed[262:].any() != is_left


def test_the_person_of_a_photograph_is_edited(job: Job, tmp_path: Path) -> None:
    save_image(tmp_path / "who.png", portrait_frames(1, 300, 260)[0])
    path = two_people(tmp_path)
    assert len(job(face=path, length_policy="video", face_image=str(tmp_path / "who.png"))) == 4
    save_image(tmp_path / "nobody.png", np.full((90, 90, 3), 128, np.uint8))
    with pytest.raises(FaceNotFoundError, match=r"photograph"):
        job(face=path, face_image=str(tmp_path / "nobody.png"))
    with pytest.raises(MediaError, match=r"gone\.png"):
        job(face=path, face_image=str(tmp_path / "gone.png"))


def test_a_missing_face_can_stop_the_job(job: Job, tmp_path: Path) -> None:
    empty = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 3
    path = tmp_path / "gap.mkv"
    media.write_video(
        path,
        pictures=portrait_frames(6) + empty,
        width=WIDTH,
        height=HEIGHT,
        codec="ffv1",
        pixel_format="bgr0",
    )
    with pytest.raises(FaceNotFoundError, match=r"frame 6 \(0\.24 s\)") as caught:
        job(face=path, length_policy="video", on_missing_face="error")
    assert caught.value.frame_index == 6


@pytest.mark.parametrize(("policy", "is_edited"), [("passthrough", False), ("hold", True)])
def test_a_hidden_face_is_left_alone_or_held(
    job: Job, tmp_path: Path, policy: str, is_edited: bool
) -> None:
    pictures = portrait_frames(9)
    for picture in pictures[6:]:
        picture[HEIGHT // 5 : HEIGHT * 4 // 5, WIDTH * 3 // 8 : WIDTH * 5 // 8] = 90
    path = tmp_path / "hidden.mkv"
    media.write_video(
        path, pictures=pictures, width=WIDTH, height=HEIGHT, codec="ffv1", pixel_format="bgr0"
    )
    dubbed = job(face=path, length_policy="video", on_missing_face=policy)
    changed = (dubbed != read_frames(path)).any(axis=(1, 2, 3))
    assert changed[:4].all()
    assert changed[7:].all() == changed[7:].any() == is_edited


def test_a_turned_face_is_left_alone(job: Job) -> None:
    with pytest.raises(FaceNotFoundError, match=r"no usable face"):
        job(max_yaw_deg=1e-9)  # the portrait looks almost straight ahead
