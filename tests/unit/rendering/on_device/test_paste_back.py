"""Paste-back of tensors: within a grey level of the one by OpenCV, and nothing else changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, crop_bounds, cut, lip_anchors, lip_crops, shift_source
from retalking.rendering.masks import lower_face_mask
from retalking.rendering.on_device.masks import lower_face_masks, outline_rows
from retalking.rendering.on_device.paste_back import blend_faces, lay, match_rims
from retalking.rendering.paste_back import Layer, MarkedFrame, composite
from retalking.trust.picture.mark import PictureMark
from retalking.trust.picture.pattern import Pattern, picture_code
from tests.faces import frontal_landmarks

PICTURE = skimage.data.astronaut()
FRAMES = np.stack([PICTURE[:400, :480], PICTURE[40:440, 20:500]])
OPACITY = (0.6, 1.0)
NUMBERS = np.arange(2)


@pytest.mark.parametrize("is_marked", [False, True])
@pytest.mark.parametrize("eyes_px", [22.0, 60.0, 90.0])
def test_faces_are_blended_as_by_opencv(eyes_px: float, is_marked: bool) -> None:
    """Negatives of the frames with noise, so that colours, bands and edges all have to do."""
    faces = np.stack(
        [
            frontal_landmarks(eyes_px, 7) + np.array([220, 110]),
            frontal_landmarks(1.03 * eyes_px, -5) + np.array([200, 120]),
        ]
    )
    anchors = lip_anchors(faces)
    to_crops = lip_crops(anchors)
    points = transform_points(to_crops, faces)
    noise = np.random.default_rng(0).integers(-20, 20, (LIP_PX, LIP_PX, 3))
    new = np.stack(
        [
            np.clip(cv2.GaussianBlur(255 - cut(frame, crop, LIP_PX), (0, 0), 4) + noise, 0, 255)
            for frame, crop in zip(FRAMES, to_crops, strict=True)
        ]
    ).astype(np.uint8)
    pattern = Pattern(picture_code(b"x" * 32), 7)
    mark = PictureMark.place(pattern, anchors, np.array([0.0, 0.04]))
    expected = FRAMES.copy()
    for k in NUMBERS:
        layer = Layer(new[k], lower_face_mask(points[k]), to_crops[k])
        marked = MarkedFrame(mark, int(k), int(k)) if is_marked else None
        composite(expected[k], layer, 6, opacity=OPACITY[k], marked=marked)

    boxes = np.array([crop_bounds(crop, LIP_PX, 480, 400) for crop in to_crops])
    width, height = (boxes[:, 2:] - boxes[:, :2]).max(axis=0).tolist()
    corners = np.minimum(boxes[:, :2], (480 - width, 400 - height))
    parts = [f[y : y + height, x : x + width] for f, (x, y) in zip(FRAMES, corners, strict=True)]
    regions = torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).float()
    moved = np.stack(
        [shift_source(m, *at) for m, at in zip(to_crops, corners.tolist(), strict=True)]
    )
    pictures = torch.from_numpy(new).permute(0, 3, 1, 2).float()
    masks = lower_face_masks(torch.from_numpy(outline_rows(points)))
    heights = boxes[:, 3] - boxes[:, 1]
    placed = lay(pictures, masks, moved, regions)
    patches, shown = match_rims(placed, regions, heights), placed.masks
    if is_marked:
        patches = mark.mark_batch(patches, shown, corners, NUMBERS, NUMBERS, lambda part: part)
    blended = blend_faces(regions, patches, shown, 6, torch.tensor(OPACITY)).numpy()
    output = FRAMES.copy()
    for frame, part, (x, y) in zip(output, blended, corners, strict=True):
        frame[y : y + height, x : x + width] = part
    assert (expected != FRAMES).sum() > 5000
    assert np.abs(output.astype(int) - expected).max() <= 1
    assert (output != expected).mean() < 0.02
    outside = shown.numpy()[:, 0] == 0
    for part, region, row in zip(blended, parts, outside, strict=True):
        assert row.any()
        np.testing.assert_array_equal(part[row], region[row])
