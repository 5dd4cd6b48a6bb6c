"""A hand before the mouth, and what only looks like one."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.mouth.warp.visibility import GLANCE_PX
from retalking.review.hidden import _find_in_shot

FRAMES = 120
AREA = np.ones((384, 384), np.float32)


def glances(pose: np.ndarray) -> np.ndarray:
    """Faces that get darker on one side as the head turns, with grain."""
    width, height = GLANCE_PX
    rng = np.random.default_rng(0)
    skin = np.linspace(90, 170, width)[None, None, :, None] * np.ones((1, height, 1, 3))
    shade = pose[:, None, None, None] * np.linspace(-60, 60, width)[None, None, :, None]
    return np.clip(skin + shade + rng.normal(0, 3, (FRAMES, height, width, 3)), 0, 255).astype(
        np.uint8
    )


def moves(pose: np.ndarray) -> np.ndarray:
    found = np.zeros((FRAMES, 9))
    found[:, 0] = 0.1 * pose
    found[:, 4:] = np.random.default_rng(1).normal(0, 0.05, (FRAMES, 5))
    return found


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_frames_with_something_in_front_are_found(share: float) -> None:
    pose = 0.3 * np.sin(np.arange(FRAMES) / 5)
    faces = glances(pose)
    last = 40 + round(share * FRAMES)
    faces[40:last, 6:20, 14:34] = (40, 60, 170)
    hidden = _find_in_shot(faces, moves(pose), AREA)
    assert hidden[40:last].mean() > 0.8
    assert not np.delete(hidden, slice(40, last)).any()


def test_a_head_that_turns_away_is_nothing_in_front() -> None:
    pose = np.concatenate([0.1 * np.sin(np.arange(80) / 5), np.linspace(0.1, 3, 40)])
    assert not _find_in_shot(glances(pose), moves(pose), AREA)[100:].any()


def test_a_few_frames_say_nothing() -> None:
    pose = np.zeros(FRAMES)
    assert not _find_in_shot(glances(pose)[:8], moves(pose)[:8], AREA).any()
