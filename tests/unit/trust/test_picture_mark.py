"""The picture's mark: where it goes, how strong it is, and that it is found again."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.face.affine import invert_affine, transform_points
from retalking.face.crops import LIP_PX, cut, lip_anchors, lip_crops, warp
from retalking.rendering.blending import choose_num_levels
from retalking.rendering.masks import lower_face_mask
from retalking.rendering.paste_back import Layer, MarkedFrame, composite
from retalking.trust.payload_code import PUBLIC_KEY
from retalking.trust.picture.cells import CellReader
from retalking.trust.picture.evidence import Finding, _share, face_weights, weigh
from retalking.trust.picture.mark import PictureMark
from retalking.trust.picture.pattern import FREQUENCIES_HZ, Pattern, mark_crops, picture_code
from tests.faces import frontal_landmarks

RATE, COUNT, USER = 25, 75, 4711
CODE = picture_code(PUBLIC_KEY)


def landmarks_at(number: int) -> np.ndarray:
    """A face whose eyes are 60 px apart, that sways."""
    sway = 3 * np.sin(number / 9)
    place = np.array([120 + sway, 70 + sway / 2])
    return frontal_landmarks(60.0, 2 * np.sin(number / 14)) + place


def face_at(number: int) -> np.ndarray:
    """Skin with some texture that moves with the head, and a mouth that opens."""
    y, x = np.mgrid[:240, :240].astype(np.float64)
    sway = 3 * np.sin(number / 9)
    skin = 140 + 20 * np.sin((x - sway) / 23) * np.cos((y - sway / 2) / 31)
    skin += np.random.default_rng(3).normal(0, 3, skin.shape)
    opening = 5 + 4 * np.sin(number / 3)
    skin -= 60 * (((x - 120 - sway) / 30) ** 2 + ((y - 139 - sway / 2) / opening) ** 2 < 1)
    return np.repeat(skin.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def make(marked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Frames with a face laid over themselves, and where it shows."""
    anchors = np.stack([lip_anchors(landmarks_at(number)) for number in range(COUNT)])
    mark = PictureMark.place(Pattern(CODE, USER), anchors, np.arange(COUNT) / RATE)
    frames, masks = [], []
    for number, to_crop in enumerate(lip_crops(anchors)):
        frame = face_at(number)
        mask = lower_face_mask(transform_points(to_crop, landmarks_at(number)))
        layer = Layer(cut(frame, to_crop, LIP_PX), mask, to_crop)
        bands = choose_num_levels(LIP_PX / float(np.linalg.norm(to_crop[1, :2])))
        composite(frame, layer, bands, marked=MarkedFrame(mark, number, number) if marked else None)
        frames.append(frame)
        masks.append(warp(mask, invert_affine(to_crop), (240, 240)))
    return np.stack(frames), np.stack(masks)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return make(marked=False)[0]


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    return make(marked=True)[0]


def look(
    frames: np.ndarray, key: bytes = PUBLIC_KEY, points_at=landmarks_at, every: int = 1
) -> Finding:
    numbers = range(0, len(frames), every)
    grids = [mark_crops(lip_anchors(points_at(number))) for number in numbers]
    reader = CellReader()
    for number, grid in zip(numbers, grids, strict=True):
        reader.add(frames[number], grid, number / RATE)
    weights = face_weights(transform_points(grids[0], points_at(0)))
    found = weigh(reader.finish(), weights, np.array(numbers) / RATE, picture_code(key))
    assert found is not None
    return found


def test_pixels_outside_the_mask_stay_and_those_inside_change_little(
    plain: np.ndarray, marked: np.ndarray
) -> None:
    masks = make(marked=False)[1]
    change = marked.astype(float) - plain
    assert (change[masks == 0] == 0).all()
    psnr = 10 * np.log10(255**2 / np.square(change[masks > 0]).mean())
    assert 42 < psnr < 47


def test_the_mark_is_found_with_its_payload(marked: np.ndarray) -> None:
    found = look(marked)
    assert (found.user, found.mirrored) == (USER, False)
    assert found.log10_p < -12


def test_nothing_is_found_without_mark_or_without_the_key(
    plain: np.ndarray, marked: np.ndarray
) -> None:
    assert look(plain).log10_p > -3
    assert look(marked, b"another key").log10_p > -3


def test_the_mark_is_found_in_the_mirror(marked: np.ndarray) -> None:
    def mirrored_landmarks(number: int) -> np.ndarray:
        points = landmarks_at(number) * (-1, 1) + (239, 0)
        order = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
        order += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
        return points[[*order, *range(48, 68)]]

    found = look(np.ascontiguousarray(marked[:, :, ::-1]), points_at=mirrored_landmarks)
    assert (found.user, found.mirrored) == (USER, True)
    assert found.log10_p < -10


def test_the_mark_is_found_in_part_of_the_frames_from_any_time_on(marked: np.ndarray) -> None:
    def later(number: int) -> np.ndarray:
        return landmarks_at(number + 13)

    found = look(marked[13:], points_at=later, every=2)
    assert found.user == USER
    assert found.log10_p < -8


def test_every_frame_is_changed_by_the_same_power(plain: np.ndarray, marked: np.ndarray) -> None:
    power = np.square(marked.astype(float) - plain).mean(axis=(1, 2, 3))
    # No frame flickers. Pixels are rounded, which adds a little that differs.
    assert power.max() < 1.1 * power.min()
    mean = (marked.astype(float) - plain).mean(axis=(1, 2, 3))
    assert np.abs(mean).max() < 0.05


def test_small_faces_get_more_than_large_ones() -> None:
    anchors = lip_anchors(landmarks_at(0))[None]
    small, usual, large = (
        PictureMark.place(Pattern(CODE, USER), anchors * scale, np.zeros(1)).rms
        for scale in (0.5, 1, 4)
    )
    assert 2.1 >= small >= usual > large > 0.5


def test_a_face_seen_for_too_short_a_time_says_nothing() -> None:
    cells = np.zeros((20, 5, 72), dtype=np.float32)
    assert weigh(cells, np.ones(72, dtype=np.float32), np.arange(20) / RATE, CODE) is None


def test_it_does_not_matter_when_the_mark_begins() -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(125) / RATE
    noise = rng.normal(0, 2, (125, 5, 72)).astype(np.float32)
    for begins_s in (0.0, 0.37, 1.13, 1.9):
        cells = noise.copy()
        chips = CODE.signs(9).reshape(-1, 2, 72)
        for hertz, (cosine, sine) in zip(FREQUENCIES_HZ, chips, strict=True):
            angle = 2 * np.pi * hertz * (time_s[:, None] + begins_s)
            cells[:, 0] += 0.5 * (np.cos(angle) * cosine + np.sin(angle) * sine)
        found = weigh(cells, np.ones(72, dtype=np.float32), time_s, CODE)
        assert found is not None
        assert found.user == 9
        assert found.log10_p < -20


def test_a_mark_in_a_part_of_a_long_video_is_found() -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(1000) / RATE
    cells = rng.normal(0, 2, (1000, 5, 72)).astype(np.float32)
    for hertz, (cosine, sine) in zip(FREQUENCIES_HZ, CODE.signs(9).reshape(-1, 2, 72), strict=True):
        angle = 2 * np.pi * hertz * time_s[500:750, None]
        cells[500:750, 0] += np.cos(angle) * cosine + np.sin(angle) * sine
    found = weigh(cells, np.ones(72, dtype=np.float32), time_s, CODE)
    assert found is not None
    assert found.user == 9
    assert found.log10_p < -12
    assert int(np.argmin(found.windows_log10_p)) == 2


def test_what_is_searched_shares_the_false_positives_allowed() -> None:
    for usual, count in ((0.5, 5), (0.5, 8), (0.9, 2)):
        shares = [_share(usual, which, count) for which in range(count)]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) > 0
